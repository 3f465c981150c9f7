/**
 * Who may ask what. All access control of the agent's HTTP is in this file.
 *
 * - The Unix socket is guarded by its file mode: whoever can open it may do everything.
 * - On TCP the Host must name this very listener, so that a DNS name rebound to 127.0.0.1 reads nothing, and a
 *   browser must not send the request for another origin (Fetch Metadata, RFC 6454 Origin). Other ports of this
 *   machine are other origins.
 * - Health and metrics are open on TCP; all else needs the token, as bearer (RFC 6750) or as the cookie that
 *   `GET /?token=…` sets. SameSite=Strict and the check of Origin stop forged requests.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { X0Error } from "@x0tta6bl4/core";
import type { ListenAddress } from "../config/listen.ts";
import { nodeFail } from "../errors.ts";

export interface Caller {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly transport: "tcp" | "unix";
  /** Whether the route needs no token. */
  readonly open: boolean;
}

export type Decision =
  | { readonly kind: "allow" }
  | { readonly kind: "signIn"; readonly cookie: string }
  | { readonly kind: "deny"; readonly error: X0Error };

export interface Access {
  /** @param address where the TCP listener is bound. */
  decide(caller: Caller, address: ListenAddress): Decision;
}

export function createAccess(token: string, tokenFile: string): Access {
  const isToken = (candidate: string | undefined): boolean =>
    candidate !== undefined && timingSafeEqual(digest(candidate), digest(token));
  const deny = (...[code, message, hint]: [Parameters<typeof nodeFail>[0], string, string]): Decision => ({
    kind: "deny",
    error: nodeFail(code, message, { hint }),
  });
  return {
    decide(caller, address) {
      if (caller.transport === "unix") return { kind: "allow" };
      const { headers } = caller;
      const hosts = hostsOf(address);
      if (!hosts.has(headers.host?.toLowerCase() ?? ""))
        return deny(
          "X0_NODE_FORBIDDEN",
          `the Host "${headers.host ?? ""}" is not this agent`,
          `use http://127.0.0.1:${address.port}`,
        );
      if (!isSameOrigin(headers, hosts))
        return deny("X0_NODE_FORBIDDEN", "a page of another origin asked", "open the console's own URL");
      if (caller.open) return { kind: "allow" };
      const cookie = cookieName(address.port);
      const signIn = caller.method === "GET" ? tokenInUrl(caller.url) : undefined;
      if (signIn !== undefined && isToken(signIn))
        return { kind: "signIn", cookie: `${cookie}=${token}; Path=/; HttpOnly; SameSite=Strict` };
      if (isToken(bearer(headers.authorization)) || isToken(cookieValue(headers.cookie, cookie)))
        return { kind: "allow" };
      return deny(
        "X0_NODE_UNAUTHORIZED",
        "this needs the agent's token",
        `it is in ${tokenFile} and in the URL that \`x0 up\` printed`,
      );
    },
  };
}

/** Equal lengths for the comparison, whatever was sent. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function hostsOf({ host, port }: ListenAddress): ReadonlySet<string> {
  const names = ["127.0.0.1", "localhost", "[::1]", host.includes(":") ? `[${host}]` : host];
  return new Set(names.flatMap((name) => (port === 80 ? [name, `${name}:80`] : [`${name}:${port}`])));
}

/** Programs send neither header; a browser sends Origin or Sec-Fetch-Site, and `none` when a person typed the URL. */
function isSameOrigin(headers: IncomingHttpHeaders, hosts: ReadonlySet<string>): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none") return false;
  const { origin } = headers;
  return origin === undefined || (origin.startsWith("http://") && hosts.has(origin.slice("http://".length)));
}

/** Cookies do not know ports, so each agent of a machine needs a name of its own. */
function cookieName(port: number): string {
  return `x0-${port}`;
}

function tokenInUrl(url: string): string | undefined {
  const [path, query] = url.split("?", 2);
  return path === "/" ? (new URLSearchParams(query).get("token") ?? undefined) : undefined;
}

function bearer(authorization: string | undefined): string | undefined {
  return /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
}

function cookieValue(header: string | undefined, name: string): string | undefined {
  for (const pair of header?.split(";") ?? []) {
    const [key, value] = pair.trim().split("=", 2);
    if (key === name) return value;
  }
  return undefined;
}
