import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { requireKernel, run } from "../../../../test/lab/index.ts";
import type { DnsEvent } from "../event.ts";
import { partiesOf } from "../parties.ts";
import { mixedFlows, testFlow } from "../testing/flows.ts";
import { fileDestination } from "./file.ts";
import { batch, figures, openExport } from "./testing/batches.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "x0-export-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const signal = new AbortController().signal;
const lines = (...texts: string[]) => ({
  bytes: Buffer.from(`${texts.join("\n")}\n`),
  records: texts.length,
});
const text = (name: string) => readFile(join(folder, name), "utf8");

test("flows and events become lines in Hubble's format, each whole", async () => {
  const path = join(folder, "flows.json");
  const sink = openExport({ to: `file:${path}`, events: ["dns"] });
  const flows = mixedFlows(1, 300);
  const dns: DnsEvent = {
    kind: "dns",
    ...partiesOf(testFlow({ protocol: "udp" }), "2026-11-22T14:03:22.000Z"),
    name: "example.org",
    type: "A",
    rcode: "NOERROR",
    answers: ["192.0.2.9"],
    ttlSeconds: 60,
    latencyMs: 1.5,
  };
  sink.take(batch(flows), [dns, { ...dns, name: "second.example" }]);
  await sink.close(10_000);
  const written = (await text("flows.json"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(written.length).toBe(figures(sink)["records"]);
  expect(written.length).toBeGreaterThan(300);
  const queries = written
    .filter(({ flow }) => flow.l7?.dns !== undefined)
    .map(({ flow }) => flow.l7.dns.query);
  expect([...new Set(queries)].map((name) => name.replace(/\.$/, ""))).toEqual([
    "example.org",
    "second.example",
  ]);
  expect(written.every(({ node_name }) => node_name === "edge-1")).toBe(true);
  expect((await stat(path)).mode & 0o007).toBe(0);
});

test("events that were not asked for are left out", async () => {
  const sink = openExport({ to: `file:${join(folder, "flows.json")}` });
  const drop = {
    kind: "drop" as const,
    ...partiesOf(testFlow(), "2026-11-22T14:03:22.000Z"),
    reason: "NO_SOCKET",
    fromSource: true,
    tcpFlags: [],
    bytes: 60,
    interface: "eth0",
  };
  sink.take(batch([]), [drop]);
  await sink.close(1000);
  expect(figures(sink)["records"]).toBe(0);
});

test("a field mask leaves only what it names", async () => {
  const sink = openExport({ to: `file:${join(folder, "flows.json")}`, fields: ["IP.source", "l4"] });
  sink.take(batch([testFlow({ state: "active", packets: { sent: 1, received: 0 } })]), []);
  await sink.close(1000);
  const [first = ""] = (await text("flows.json")).split("\n");
  expect(JSON.parse(first)["flow"]).toEqual({
    IP: { source: "10.0.0.5" },
    l4: { TCP: { source_port: 51_234, destination_port: 443, flags: { SYN: true } } },
  });
});

test("files rotate by size, the newest is 1, and no more than asked for stay", async () => {
  const path = join(folder, "log");
  const file = fileDestination({ path, maxSizeBytes: 100, maxFiles: 2 });
  for (const name of ["a", "b", "c", "d"]) {
    await file.deliver(lines(name.repeat(40)), signal);
    await file.deliver(lines(name.repeat(40)), signal);
  }
  await file.close();
  expect((await readdir(folder)).toSorted()).toEqual(["log", "log.1", "log.2"]);
  expect([await text("log"), await text("log.1"), await text("log.2")].map((content) => content[0])).toEqual([
    "d",
    "c",
    "b",
  ]);
  expect((await text("log.1")).split("\n").length).toBe(3);
});

test("without files to keep the file begins anew", async () => {
  const file = fileDestination({ path: join(folder, "log"), maxSizeBytes: 100, maxFiles: 0 });
  for (const name of ["a", "b", "c"]) await file.deliver(lines(name.repeat(60)), signal);
  await file.close();
  expect(await readdir(folder)).toEqual(["log"]);
  expect(await text("log")).toBe(`${"c".repeat(60)}\n`);
});

test("a file is continued; a line that was cut off gets its end", async () => {
  await writeFile(join(folder, "log"), '{"whole":1}\n{"cut');
  const file = fileDestination({ path: join(folder, "log"), maxSizeBytes: 1000, maxFiles: 1 });
  await file.deliver(lines("{}"), signal);
  await file.close();
  expect(await text("log")).toBe('{"whole":1}\n{"cut\n{}\n');
});

test("a file that was moved away is begun anew", async () => {
  const path = join(folder, "log");
  const file = fileDestination({ path, maxSizeBytes: 1000, maxFiles: 1 });
  await file.deliver(lines("first"), signal);
  await rename(path, join(folder, "elsewhere"));
  await file.deliver(lines("second"), signal);
  await file.close();
  expect([await text("elsewhere"), await text("log")]).toEqual(["first\n", "second\n"]);
});

test("a link is not followed", async () => {
  await writeFile(join(folder, "other"), "");
  await symlink(join(folder, "other"), join(folder, "log"));
  const file = fileDestination({ path: join(folder, "log"), maxSizeBytes: 1000, maxFiles: 1 });
  expect(await file.deliver(lines("{}"), signal)).toMatchObject({ kind: "away" });
  expect(await text("other")).toBe("");
});

test("a folder that comes later is waited for", async () => {
  const path = join(folder, "later", "log");
  const sink = openExport({ to: `file:${path}` });
  sink.take(batch([testFlow()]), []);
  await vi.waitFor(() =>
    expect(sink.features()).toMatchObject([{ state: "degraded", reason: expect.stringMatching(/ENOENT/) }]),
  );
  await mkdir(join(folder, "later"));
  await sink.close(10_000);
  expect(sink.features()).toMatchObject([{ state: "on" }]);
  expect((await readFile(path, "utf8")).split("\n").length).toBeGreaterThan(1);
});

test("a full disk leaves no half line, is said, and what waits is written once there is room", async (context) => {
  await requireKernel(context, "mount");
  const disk = join(folder, "disk");
  await mkdir(disk);
  await run(["mount", "-t", "tmpfs", "-o", "size=64k", "x0-test", disk]);
  await using _ = { [Symbol.asyncDispose]: () => run(["umount", disk]).then(() => undefined) };
  const path = join(disk, "log");
  const sink = openExport({ to: `file:${path}` });
  sink.take(batch(mixedFlows(1, 400)), []);
  await vi.waitFor(() => expect(sink.features()).toMatchObject([{ state: "degraded" }]));
  expect(sink.features()[0]?.reason).toMatch(/ENOSPC/);
  const before = await readFile(path, "utf8");
  expect(before === "" || before.endsWith("\n")).toBe(true);
  await run(["mount", "-o", "remount,size=4m", disk]);
  await sink.close(10_000);
  const all = (await readFile(path, "utf8")).trimEnd().split("\n");
  expect(all.length).toBe(figures(sink)["records"]);
  for (const line of all) JSON.parse(line);
});
