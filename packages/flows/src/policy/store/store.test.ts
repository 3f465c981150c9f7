import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openPolicyStore, type PolicyStore, type StoredDocument } from "./store.ts";

function open(): { store: PolicyStore; reopen(): PolicyStore } {
  const folder = mkdtempSync(join(tmpdir(), "x0-policy-"));
  const stores: PolicyStore[] = [];
  const reopen = (): PolicyStore => {
    const store = openPolicyStore(join(folder, "policy.db"));
    stores.push(store);
    return store;
  };
  onTestFinished(() => {
    for (const store of stores) store.close();
    rmSync(folder, { recursive: true });
  });
  return { store: reopen(), reopen };
}

const document = (name: string, text = `# ${name}`): StoredDocument => ({
  kind: "CiliumNetworkPolicy",
  name,
  text,
  audit: false,
  appliedMs: 1000,
});

const generation = (...documents: StoredDocument[]) => ({
  appliedMs: 1000,
  management: true,
  pin: false,
  documents,
});

test("what is confirmed is what the next start finds, whole", () => {
  const { store, reopen } = open();
  expect(store.confirmed()).toBeUndefined();
  const number = store.prepare({ ...generation(document("b"), document("a")), pin: true });
  expect(reopen().confirmed()).toBeUndefined();
  store.settle(number, "confirmed", 2000);
  expect(reopen().confirmed()).toEqual({
    number,
    state: "confirmed",
    appliedMs: 1000,
    settledMs: 2000,
    management: true,
    pin: true,
    documents: [document("a"), document("b")],
  });
});

test("what was prepared or waited for its confirmation is not", () => {
  const { store } = open();
  store.settle(store.prepare(generation(document("old"))), "confirmed", 1);
  const waiting = store.prepare(generation(document("new")));
  store.settle(waiting, "unconfirmed", 2);
  store.prepare(generation(document("newer")));
  expect(store.confirmed()?.documents).toEqual([document("old")]);
  store.revertUnsettled(5);
  expect(store.generations(10).map(({ state, settledMs }) => [state, settledMs])).toEqual([
    ["reverted", 5],
    ["reverted", 5],
    ["confirmed", 1],
  ]);
  store.settle(waiting, "confirmed", 6);
  expect(store.confirmed()?.documents).toEqual([document("new")]);
});

test("no documents at all is a generation too", () => {
  const { store } = open();
  store.settle(store.prepare(generation(document("old"))), "confirmed", 1);
  store.settle(store.prepare(generation()), "confirmed", 2);
  expect(store.confirmed()).toMatchObject({ documents: [] });
});

test("a failure in the middle of a generation leaves nothing of it", () => {
  const { store } = open();
  const broken = { ...document("b"), text: undefined as unknown as string };
  expect(() => store.prepare(generation(document("a"), broken))).toThrow();
  expect(store.generations(10)).toEqual([]);
  store.settle(store.prepare(generation(document("a"))), "confirmed", 1);
  expect(store.confirmed()?.documents).toEqual([document("a")]);
});

test("a rule's number is for good, and names it", () => {
  const { store, reopen } = open();
  const rules = ["spec.ingress", "spec.ingress[0]"].map((path) => ({ policy: "a", path, content: "x" }));
  const ids = store.ids(rules);
  expect(Math.min(...ids)).toBeGreaterThan(2);
  const other = store.ids([{ policy: "a", path: "spec.ingress[0]", content: "y" }]);
  const again = reopen();
  expect(again.ids(rules)).toEqual(ids);
  expect(ids).not.toContain(other[0]);
  expect(again.ruleOf(other[0] as number)).toEqual({ policy: "a", path: "spec.ingress[0]" });
  expect(again.ruleOf(1)).toEqual({ policy: "", path: "management" });
  expect(again.ruleOf(999)).toBeUndefined();
});

test("old generations are forgotten, the confirmed one never, and numbers are not given out again", () => {
  const { store } = open();
  const first = store.prepare(generation(document("kept")));
  const [kept] = store.ids([{ policy: "kept", path: "spec.ingress", content: "" }]);
  store.settle(first, "confirmed", 1);
  let latest = 0;
  for (let round = 0; round < 120; round++) {
    latest = store.prepare(generation(document(`tried ${round}`)));
    store.settle(latest, "reverted", round);
  }
  expect(store.confirmed()?.documents).toEqual([document("kept")]);
  expect(store.ruleOf(kept as number)).toEqual({ policy: "kept", path: "spec.ingress" });
  const later = store.prepare(generation(document("later")));
  store.settle(later, "confirmed", 2);
  for (let round = 0; round < 120; round++)
    store.settle(store.prepare(generation(document("later"))), "confirmed", round);
  expect(store.generations(1000)).toHaveLength(100);
  expect(store.generations(1000).map(({ number }) => number)).not.toContain(first);
});

test("documents may be kept before their generation is prepared, and are stored once", () => {
  const { store } = open();
  const documents = [document("a"), document("b")];
  const kept = [...store.keep(documents.slice(0, 1)), ...store.keep(documents.slice(1))];
  expect(store.keep(documents)).toEqual(kept);
  const number = store.prepare(generation(...documents), kept);
  store.settle(number, "confirmed", 2);
  expect(store.confirmed()).toMatchObject({ number, documents });
});
