import { expect, test } from "vitest";
import { difference, merged } from "./changes.ts";
import type { StoredDocument } from "./store/store.ts";

const document = (name: string, text = name, audit = false, appliedMs = 1): StoredDocument => ({
  kind: "CiliumNetworkPolicy",
  ...{ name, text, audit, appliedMs },
});

test("what says the same stays as it was applied, the rest is replaced", () => {
  const holding = [document("a"), document("b"), document("c")];
  const given = [document("a", "a", false, 2), document("b", "b", true, 2), document("d", "d", false, 2)];
  const after = merged(holding, given);
  expect(after.map(({ name, appliedMs }) => `${name} ${appliedMs}`)).toEqual(["a 1", "b 2", "c 1", "d 2"]);
  expect(difference(holding, after)).toEqual({
    ...{ added: ["d"], changed: ["b"], unchanged: ["a", "c"], removed: [] },
  });
  expect(difference(after, [])).toEqual({
    ...{ added: [], changed: [], unchanged: [], removed: ["a", "b", "c", "d"] },
  });
  const clusterwide = { ...document("a"), kind: "CiliumClusterwideNetworkPolicy" };
  expect(merged(holding, [clusterwide])).toHaveLength(4);
});
