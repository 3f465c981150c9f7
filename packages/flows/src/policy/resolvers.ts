import { readFileSync } from "node:fs";
import { parseAddress } from "../address.ts";
import type { PolicyConfig } from "./config.ts";

/** resolv.conf(5) of the C library reads so many. */
const MOST = 64;
/** Where systemd-resolved listens. */
const STUB = "127.0.0.53";

const places = { system: "/etc/resolv.conf", upstream: "/run/systemd/resolve/resolv.conf" };

/**
 * Whose answers teach addresses of names: the configured ones, else those of /etc/resolv.conf. Where that is a stub of
 * systemd-resolved, the servers that it asks besides: programs may reach it without DNS (nss-resolve).
 */
export function resolversOf({ resolvers }: PolicyConfig, from: Partial<typeof places> = {}): Uint8Array[] {
  const { system, upstream } = { ...places, ...from };
  // Without the file the C library asks the local host.
  const own = resolvers.length > 0 ? resolvers : (namedIn(system) ?? ["127.0.0.1"]);
  const asksOthers = resolvers.length === 0 && own.includes(STUB);
  const texts = asksOthers ? [...own, ...(namedIn(upstream) ?? [])] : own;
  return [...new Set(texts)].flatMap((text) => parseAddress(text) ?? []);
}

/** Undefined where it cannot be read. */
function namedIn(path: string): string[] | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
  return text
    .split("\n")
    .flatMap((line) => /^nameserver\s+([0-9A-Fa-f.:]+)/.exec(line)?.[1] ?? [])
    .slice(0, MOST);
}
