/** A power cut between any two steps of apply, or in the middle of one, leaves the old or the new policies, whole. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { seededRandom } from "@x0tta6bl4/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openPolicyStore } from "./store/store.ts";
import { DOCUMENTS } from "./testing/documents.ts";

const script = fileURLToPath(new URL("testing/apply-in-memory.ts", import.meta.url));
const seed = Number(process.env["X0_SEED"] ?? 4);
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "x0-policy-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Applying extends AsyncDisposable {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  readonly lines: Interface;
}

function applying(how: "stepwise" | "freely"): Applying {
  const child = spawn(process.execPath, ["--conditions=x0tta6bl4-source", script, folder, how], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.on("error", () => undefined);
  return {
    child,
    lines: createInterface({ input: child.stdout }),
    async [Symbol.asyncDispose]() {
      const ended = child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** The number that all documents carry; 0 where nothing was confirmed. @throws where they carry several */
function confirmedNumber(): number {
  const store = openPolicyStore(join(folder, "policy.db"));
  try {
    const documents = store.confirmed()?.documents ?? [];
    const numbers = new Set(documents.map(({ text }) => /# (\d+)/.exec(text)?.[1]));
    expect(numbers.size, "documents of several generations").toBeLessThan(2);
    expect([0, DOCUMENTS]).toContain(documents.length);
    return Number([...numbers][0] ?? 0);
  } finally {
    store.close();
  }
}

/** Steps up to the confirmed end of two generations: one applied for good, one confirmed. */
async function steps(): Promise<string[]> {
  await using one = applying("stepwise");
  const seen: string[] = [];
  let done = 0;
  for await (const line of one.lines) {
    if (line.startsWith("done") && ++done === 2) break;
    seen.push(line);
    one.child.stdin.write(".");
  }
  return seen;
}

test("killed before each step, whichever: the old one until the new one is confirmed", async () => {
  const all = (await steps()).map((line) => line.replace(/ \d+/, ""));
  expect(all).toEqual(
    expect.arrayContaining(["store.prepare", "kernel.swap", "store.settle", "kernel.confirm"]),
  );
  for (let count of all.keys()) {
    let confirmed = confirmedNumber();
    await using one = applying("stepwise");
    let settled = 0;
    let step = "";
    for await (const line of one.lines) {
      // Only now is what was told before this done.
      if (step === "store.settle") settled++;
      step = line;
      if (line.startsWith("begin")) settled = 0;
      if (settled === (confirmed % 2 === 0 ? 1 : 2)) {
        confirmed++;
        settled = 0;
      }
      if (count-- === 0) break;
      one.child.stdin.write(".");
    }
    await one[Symbol.asyncDispose]();
    expect(confirmedNumber(), `killed before ${step}`).toBe(confirmed);
  }
}, 300_000);

test(`killed at any moment (seed ${seed}): what was answered is kept, whole`, async () => {
  const random = seededRandom(seed);
  for (let round = 0; round < 12; round++) {
    await using one = applying("freely");
    let answered = 0;
    let isSet = false;
    for await (const line of one.lines) {
      if (line.startsWith("done")) answered = Number(line.slice(5));
      if (isSet) continue;
      isSet = true;
      void setTimeout(random.next() * 700).then(() => one.child.kill("SIGKILL"));
    }
    const after = confirmedNumber();
    expect(after).toBeGreaterThanOrEqual(answered);
    if (answered > 0) expect(after).toBeLessThanOrEqual(answered + 1);
  }
}, 300_000);
