import { readFileSync } from "node:fs";
import { parseAddress } from "../address.ts";
import type { PolicyConfig } from "./config.ts";

/** resolv.conf(5) of the C library reads so many. */
const MOST = 64;

/** Whose answers teach addresses of names: the configured ones, else those of /etc/resolv.conf. */
export function resolversOf({ resolvers }: PolicyConfig, path = "/etc/resolv.conf"): Uint8Array[] {
  const texts = resolvers.length > 0 ? resolvers : namedIn(path);
  return texts.flatMap((text) => parseAddress(text) ?? []);
}

function namedIn(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    // Without the file the C library asks the local host.
    return ["127.0.0.1"];
  }
  return text
    .split("\n")
    .flatMap((line) => /^nameserver\s+([0-9A-Fa-f.:]+)/.exec(line)?.[1] ?? [])
    .slice(0, MOST);
}
