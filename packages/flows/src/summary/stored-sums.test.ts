/** Sums beside the blocks: the same answers as from rows, without reading these. */
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { seededRandom } from "@x0tta6bl4/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Simulated, simulated, startMs } from "../history/testing/simulated.ts";
import { type Summary, summaryQuerySchema } from "./schema.ts";

const SECONDS = 150;
let folder: string;
let copies = 0;
let simulation: Simulated;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "x0-sums-"));
  // Files of some 10,000 flows, so that there are complete ones.
  const options = { maxBytes: 6e6, stretchBlocks: 2 };
  simulation = simulated(join(folder, "history"), { flowsPerSecond: 150, options });
  simulation.record(SECONDS);
  await simulation.history.close(1000);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A copy of the files, changed. @returns what the changes did */
function changed(sql: string): { readonly path: string; readonly changes: number } {
  const path = join(folder, `copy-${copies++}`);
  cpSync(join(folder, "history"), path, { recursive: true });
  let changes = 0;
  for (const name of readdirSync(path).filter((each) => each.endsWith(".db"))) {
    const database = new DatabaseSync(join(path, name));
    changes += Number(database.prepare(sql).run().changes);
    database.close();
  }
  return { path, changes };
}

async function summaries(path: string, ranges: readonly (readonly [number, number])[]): Promise<Summary[]> {
  const history = simulation.open({ folder: path });
  const answers: Summary[] = [];
  for (const [fromMs, toMs] of ranges) {
    const [since, until] = [fromMs, toMs].map((ms) => new Date(ms).toISOString());
    answers.push(await history.summary(summaryQuerySchema.parse({ since, until, top: 1000 })));
  }
  await history.close(1000);
  return answers;
}

const whole = [startMs, startMs + 2 * SECONDS * 1000] as const;

test("answers are those that rows give, over random times", async () => {
  const random = seededRandom(5);
  const moment = (): number => startMs + random.below(SECONDS * 1000);
  const ranges = Array.from({ length: 12 }, () => [moment(), moment()].sort((a, b) => a - b)) as [
    number,
    number,
  ][];
  const rows = changed("DELETE FROM sums");
  const all = changed("UPDATE sums SET id = id");
  // Some of them of several stretches: those of complete files.
  expect(rows.changes).toBeGreaterThan(8);
  const [fromRows, fromSums] = [
    await summaries(rows.path, [whole, ...ranges]),
    await summaries(all.path, [whole, ...ranges]),
  ];
  expect(fromSums).toEqual(fromRows);
  expect(fromSums[0]?.estimated).toEqual([]);
  expect(fromSums[0]?.total.flows).toBeGreaterThan(10_000);
});

test("complete files are summed up without their rows", async () => {
  const withoutRows = changed("UPDATE parts SET data = x'00' WHERE id % 4 = 3");
  const [known] = await summaries(changed("UPDATE sums SET id = id").path, [whole]);
  const [answer] = await summaries(withoutRows.path, [whole]);
  expect(answer?.total).toEqual(known?.total);
  expect(answer?.newDestinations).toEqual(known?.newDestinations);
});

test("damaged sums cost time, not truth", async () => {
  const [known] = await summaries(changed("DELETE FROM sums").path, [whole]);
  const damaged = changed("UPDATE sums SET data = substr(data, 1, length(data) - 7)");
  expect(await summaries(damaged.path, [whole])).toEqual([known]);
  const foreign = changed("UPDATE sums SET data = x'00', blocks = '[1,2,\"x\"]'");
  expect(await summaries(foreign.path, [whole])).toEqual([known]);
});
