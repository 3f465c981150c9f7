import { expect, test } from "vitest";
import { parseAddress } from "../../address.ts";
import { connectionKeyLayout, flowKeyLayout } from "../../generated/layout.ts";
import { writeTupleKey } from "../enforce/connections.ts";
import { isEncryptedQuery } from "./encrypted.ts";

const RESOLVER = "10.0.0.53";
const AT = connectionKeyLayout.size / 4;

test.each([
  [RESOLVER, 853, true],
  [RESOLVER, 443, true],
  [RESOLVER, 53, false],
  ["8.8.8.8", 443, true],
  ["2606:4700:4700::1111", 853, true],
  ["8.8.8.8", 53, false],
  ["192.0.2.1", 443, false],
])("a connection to %s, port %i: %s", (ip, port, isEncrypted) => {
  const own = ip.includes(":") ? "2001:db8::1" : "10.0.0.2";
  const words = new Uint32Array(2 * AT);
  const tuple = { protocol: 6, source: { ip: own, port: 40_000 }, destination: { ip, port } };
  writeTupleKey(tuple, words, AT);
  const ports = words[AT + flowKeyLayout.port / 4] as number;
  expect(isEncryptedQuery(words, AT, ports, [parseAddress(RESOLVER) as Uint8Array])).toBe(isEncrypted);
});
