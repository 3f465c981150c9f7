/** Where the Hubble API listens: loopback only, since it speaks without TLS and asks nobody for a name. */
import { BlockList, isIPv4, isIPv6 } from "node:net";

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export const OFF = "off";

/** `127.0.0.1:4244`, `[::1]:0`, `localhost:4245`; undefined for what is no address, or not of this machine alone. */
export function parseLoopback(text: string): ListenAddress | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const host = match[2] === "localhost" ? "127.0.0.1" : (match[1] ?? match[2] ?? "");
  const port = Number(match[3]);
  const isAddress = match[1] === undefined ? isIPv4(host) : isIPv6(host);
  return isAddress && port <= 65_535 && isLoopback(host) ? { host, port } : undefined;
}

function isLoopback(host: string): boolean {
  const loopback = new BlockList();
  loopback.addSubnet("127.0.0.0", 8, "ipv4");
  loopback.addAddress("::1", "ipv6");
  return loopback.check(host, isIPv4(host) ? "ipv4" : "ipv6");
}
