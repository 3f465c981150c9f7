import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { parseAddress } from "../../address.ts";
import { NAME_PEER } from "../tables.ts";
import type { AdmittedAddress } from "./contract.ts";
import { type NameStore, openNameStore } from "./name-store.ts";

const NOW_MS = 1_800_000_000_000;
const address = parseAddress("192.0.2.1") as Uint8Array;
const other = parseAddress("2001:db8::1") as Uint8Array;

/** What was open before is closed, as by a restart. */
function places(): () => NameStore {
  const folder = mkdtempSync(join(tmpdir(), "x0-names-"));
  let last: NameStore | undefined;
  onTestFinished(() => {
    last?.close();
    rmSync(folder, { recursive: true });
  });
  return () => {
    last?.close();
    last = openNameStore(join(folder, "names.db"));
    return last;
  };
}

const admitted = (bytes: Uint8Array, peer: number, untilMs: number): AdmittedAddress => ({
  address: bytes,
  peers: [{ peer, untilMs }],
});

test("a selector keeps its number, and no number means another", () => {
  const open = places();
  const first = open();
  const numbers = [
    first.numberOf("name", "a.b"),
    first.numberOf("pattern", "a.b"),
    first.numberOf("name", "c"),
  ];
  expect(new Set(numbers).size).toBe(3);
  const second = open();
  expect(second.numberOf("name", "d")).not.toBe(numbers[0]);
  expect(second.numberOf("name", "c")).toBe(numbers[2]);
  expect(second.selectorOf(NAME_PEER + (numbers[1] as number))).toEqual({ kind: "pattern", text: "a.b" });
  expect(second.selectorOf(NAME_PEER + 99)).toBeUndefined();
});

test("what is saved last is there after a restart, as long as it holds", () => {
  const open = places();
  const store = open();
  const peer = NAME_PEER + store.numberOf("name", "a.b");
  store.save([admitted(address, peer, NOW_MS + 5000), admitted(other, peer, NOW_MS + 9000)]);
  store.save([admitted(address, peer, NOW_MS + 60_000), admitted(other, peer, NOW_MS + 9000)]);
  const again = open();
  expect(again.saved(NOW_MS)).toEqual([
    admitted(address, peer, NOW_MS + 60_000),
    admitted(other, peer, NOW_MS + 9000),
  ]);
  expect(again.saved(NOW_MS + 10_000)).toEqual([admitted(address, peer, NOW_MS + 60_000)]);
  again.save([]);
  expect(open().saved(NOW_MS)).toEqual([]);
});
