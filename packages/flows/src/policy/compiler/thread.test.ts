import { expect, onTestFinished, test } from "vitest";
import { config, policyText } from "../testing/open-repository.ts";
import { smallWorld } from "../testing/small-world.ts";
import { compilerHere } from "./compiler.ts";
import type { PolicyCompiler } from "./contract.ts";
import { threadedCompiler } from "./thread.ts";

const how = { audit: false, appliedMs: 0 };
const { node, members, workloads } = smallWorld;
const world = { node, members, workloads };
const names = policyText("b", 443)
  .replace("ingress", "egress")
  .replace("- toPorts", "- toFQDNs: [{matchName: example.org}]\n    toPorts");
const files = [
  { name: "a.yaml", text: policyText("a", 80) },
  { name: "b.yaml", text: names },
];

function compiler() {
  const started = threadedCompiler(config);
  onTestFinished(() => started.stop());
  return started;
}

async function compiled(by: PolicyCompiler) {
  const documents = await by.read({ files, how });
  const taken = await by.take(documents);
  const part = await by.part(0);
  const ids = part.contents.map((_, index) => index + 10);
  const tables = await by.tables({ ids, world, management: true, numbers: [1] });
  const remarks = await by.remarks({ world, known: [], names: ["default/b"] });
  const rehearsal = await by.rehearsal({ files, documents: [], world, management: true });
  const checked = await by.check({ files, world, known: [] });
  return { documents, taken, part, tables, remarks, rehearsal, checked };
}

test("the thread says what the compiler says", async () => {
  const here = await compiled(compilerHere(config));
  expect(here.taken).toEqual({ parts: 1, names: [["name", "example.org"]] });
  expect(here.tables.tables.count).toBeGreaterThan(0);
  expect(await compiled(compiler())).toEqual(here);
});

test("who asks goes on meanwhile", async () => {
  const many = Array.from({ length: 300 }, (_, index) => policyText(`p${index}`, index + 1)).join("---\n");
  let turns = 0;
  let isRead = false;
  const turn = (): void => {
    turns++;
    if (!isRead) setImmediate(turn);
  };
  setImmediate(turn);
  const thread = compiler();
  expect(await thread.read({ files: [{ name: "many.yaml", text: many }], how })).toHaveLength(300);
  isRead = true;
  // In this thread it would have been one.
  expect(turns).toBeGreaterThan(10);
});

test("what is wrong comes back with its code, and the next question is answered", async () => {
  const thread = compiler();
  const wrong = [{ name: "c.yaml", text: "kind: [" }];
  await expect(thread.read({ files: wrong, how })).rejects.toMatchObject({
    code: "X0_FLOWS_POLICY_MALFORMED",
    hint: "x0 policy check FILE lists all",
  });
  expect(await thread.read({ files, how })).toHaveLength(2);
});

test("one that was stopped starts again", async () => {
  const thread = compiler();
  await thread.read({ files, how });
  await thread.stop();
  expect(await thread.read({ files, how })).toHaveLength(2);
});
