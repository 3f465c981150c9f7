/**
 * Queries that cannot be read: DNS over TLS and over HTTPS, to the resolvers of this host and to public ones that
 * browsers and resolvers ask by themselves.
 */
import { parseAddress } from "../../address.ts";
import { connectionKeyLayout } from "../../generated/layout.ts";

/** RFC 7858 and 9250; RFC 8484. */
const DNS_OVER_TLS = 853;
const HTTPS = 443;

/** Cloudflare, Google, Quad9, OpenDNS, AdGuard: addresses that serve nothing else to speak of. */
const publicResolvers: ReadonlySet<string> = new Set(
  [
    ["1.1.1.1", "1.0.0.1", "2606:4700:4700::1111", "2606:4700:4700::1001"],
    ["8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844"],
    ["9.9.9.9", "149.112.112.112", "2620:fe::fe", "2620:fe::9"],
    ["208.67.222.222", "208.67.220.220"],
    ["94.140.14.14", "94.140.15.15"],
  ].flatMap((addresses) =>
    addresses.map((address) => Buffer.from(parseAddress(address) as Uint8Array).toString("latin1")),
  ),
);

/**
 * @param words a connection's key, from `at`.
 * @param ports its word of both ports.
 */
export function isEncryptedQuery(
  words: Uint32Array,
  at: number,
  ports: number,
  resolvers: readonly Uint8Array[],
): boolean {
  for (let side = 0; side < 2; side++) {
    const port = side === 0 ? ports & 0xffff : ports >>> 16;
    if (port !== DNS_OVER_TLS && port !== HTTPS) continue;
    const begin = words.byteOffset + 4 * at + connectionKeyLayout.flow + 16 * side;
    const address = Buffer.from(words.buffer, begin, 16);
    if (publicResolvers.has(address.toString("latin1"))) return true;
    if (resolvers.some((resolver) => address.equals(resolver))) return true;
  }
  return false;
}
