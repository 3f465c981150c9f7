/** Files of before: `testing/version-1.db.zst` has two runs of seeded traffic, written by the code that had that form. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { crc32, zstdDecompressSync } from "node:zlib";
import type { Clock } from "@x0tta6bl4/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FlowQuery, flowQuerySchema } from "../flow.ts";
import { type History, openHistory } from "./history.ts";

const nowMs = 1_793_491_206_000;
const clock: Clock = { nowMs: () => nowMs, monotonicNs: () => BigInt(nowMs) * 1_000_000n };
let folder: string;
let history: History;

function open(): History {
  return openHistory({ folder, maxBytes: 1e9, maxAgeMs: 1e10, run: nowMs, clock, maxFlows: 1024 });
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "x0-versions-"));
  const packed = readFileSync(new URL("./testing/version-1.db.zst", import.meta.url));
  writeFileSync(join(folder, "flows-00000001.db"), zstdDecompressSync(packed));
});
afterEach(async () => {
  await history.close(1000);
  rmSync(folder, { recursive: true });
});

test.each<[Partial<FlowQuery>, number, number]>([
  [{}, 532, 1_574_842_645],
  [{ dropped: "true" }, 1, 1_800_197_197],
  // Sketches of before have neither prefixes nor protocols.
  [{ protocol: "udp", ip: "10.0.0.0/24" }, 93, 3_416_048_649],
  [{ port: 443, protocol: "tcp" }, 251, 369_724_872],
])("a file of the first version is read as it was written: %j", async (query, count, checksum) => {
  history = open();
  const { flows } = await history.flows(flowQuerySchema.parse({ limit: 10_000, ...query }));
  expect(flows.length).toBe(count);
  // There were no policies then.
  const known = flows.map(({ rule, ...flow }) => {
    expect(rule).toBeNull();
    return flow;
  });
  expect(crc32(JSON.stringify(known))).toBe(checksum);
});

test("a file of a version to come is set aside and named, and another one begun", async () => {
  const database = new DatabaseSync(join(folder, "flows-00000001.db"));
  database.exec("PRAGMA user_version = 99");
  database.close();
  history = open();
  expect(history.features()).toEqual([
    expect.objectContaining({ state: "degraded", reason: expect.stringMatching(/flows-00000001\.db.*99/) }),
  ]);
  expect((await history.flows(flowQuerySchema.parse({}))).flows).toEqual([]);
  expect(readdirSync(folder)).toContain("flows-00000002.db");
});
