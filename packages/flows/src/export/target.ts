/** Where an export goes: the value of its key `to`. */
import { isAbsolute } from "node:path";

export type Target =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "udp" | "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "http"; readonly url: URL };

/** Of a collector's base URL, as the OTLP specification has it: "OTLP/HTTP Request". */
const LOGS_PATH = "/v1/logs";

/** @returns the target, or a sentence that says what is wrong with the text. */
export function parseTarget(text: string): Target | string {
  const [, scheme = "", rest = ""] = /^([a-z]+):(.*)$/s.exec(text) ?? [];
  if (scheme === "file") {
    if (!isAbsolute(rest) || rest.endsWith("/") || rest.includes("\0"))
      return `"${text}" must name a file by its absolute path, like file:/var/log/x0/flows.json`;
    return { kind: "file", path: rest };
  }
  if (scheme === "udp" || scheme === "tcp") {
    const match = /^(?:\[([\da-fA-F:.]+)\]|([^\s:[\]/@]+)):(\d{1,5})$/.exec(rest);
    const port = Number(match?.[3]);
    if (match === null || port < 1 || port > 65_535)
      return `"${text}" must be like ${scheme}:collector.example:4739 or ${scheme}:[2001:db8::1]:4739`;
    return { kind: scheme, host: (match[1] ?? match[2]) as string, port };
  }
  if (scheme === "http" || scheme === "https") return parseCollector(text);
  return `"${text}" must begin with file:, udp:, tcp:, http:// or https://`;
}

function parseCollector(text: string): Target | string {
  if (!URL.canParse(text)) return `"${text}" is not a URL`;
  const url = new URL(text);
  // Whoever may read the configuration, the metrics or the log would read it too.
  if (url.username !== "" || url.password !== "")
    return "a collector's URL must not carry a user name or password";
  if (url.search !== "" || url.hash !== "")
    return `"${text}" must be a base URL, without a query or a fragment`;
  const path = url.pathname.replace(/\/+$/, "");
  url.pathname = path.endsWith(LOGS_PATH) ? path : `${path}${LOGS_PATH}`;
  return { kind: "http", url };
}

/** The host that an export speaks to; undefined for a file. */
export function hostOf(target: Target): string | undefined {
  if (target.kind === "file") return undefined;
  return target.kind === "http" ? target.url.hostname.replace(/^\[|\]$/g, "") : target.host;
}
