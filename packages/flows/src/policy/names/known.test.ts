import { expect, test } from "vitest";
import { parseAddress } from "../../address.ts";
import { nameMatches, parsePattern } from "../language/dns-names.ts";
import { NAME_PEER } from "../tables.ts";
import { knownAddresses, namesIn } from "./known.ts";

const selectors = [
  { kind: "name", text: "api.example.org" },
  { kind: "pattern", text: "**.example.net" },
] as const;
const names = { selectorOf: (peer: number) => selectors[peer - NAME_PEER] };
const address = parseAddress("192.0.2.7") as Uint8Array;
const admitted = (...numbers: number[]) => ({
  address,
  peers: numbers.map((number) => ({ peer: NAME_PEER + number, untilMs: 1 })),
});

test("an address has the names that admitted it, and one for each pattern that did", () => {
  const [known] = knownAddresses([admitted(0, 1, 7)], names);
  expect(known?.names[0]).toBe("api.example.org");
  const pattern = parsePattern("**.example.net");
  expect(pattern && known?.names.map((name) => nameMatches(pattern, name))).toEqual([false, true]);
  expect(knownAddresses([admitted(7)], names)).toEqual([]);
});

test("a world looks them up by address", () => {
  const world = namesIn(knownAddresses([admitted(0)], names));
  expect(world(address)).toEqual(["api.example.org"]);
  expect(world(parseAddress("192.0.2.8") as Uint8Array)).toEqual([]);
});
