import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { buildApplication, buildRouteMap, run } from "@stricli/core";
import type { AgentClient, CliContext, StreamEvent, X0Error } from "@x0tta6bl4/core";
import { afterAll, describe, expect, test } from "vitest";
import { compileFilter } from "../filter.ts";
import type { Flow, FlowChange, FlowList } from "../flow.ts";
import { flowQuerySchema, flowSchema } from "../flow.ts";
import { readCaptureBytes } from "../replay/capture.ts";
import { replayFlows, replayTotals } from "../replay/replay.ts";
import { pcap, pcapng, type TestPacket } from "../testing/captures.ts";
import { ethernet, icmp, ipv4, ipv6, tcp, udp } from "../testing/frames.ts";
import { flowsCommands } from "./command.ts";

const folder = mkdtempSync(join(tmpdir(), "x0-observe-"));
afterAll(() => rmSync(folder, { recursive: true }));

const startNs = 1_767_225_600_000_000_000n;

/** `count` flows a second apart: TCP, UDP, ICMP and IPv6 in turn, each of two packets. */
function traffic(count: number): TestPacket[] {
  return Array.from({ length: count }, (_, index) => {
    const ends = { source: `10.0.${index >> 8}.${index & 255}`, destination: "10.9.9.9" };
    const ports = { sourcePort: 40_000 + index, destinationPort: 443 };
    const payload = new Uint8Array(index);
    const six = { source: "2001:db8::1", destination: "2001:db8::2" };
    const packet = [
      () => ipv4(ends, tcp({ ...ports, flags: 2 }, payload)),
      () => ipv4(ends, udp(ports, payload)),
      () => ipv4(ends, icmp({ type: 8, id: index }, payload)),
      () => ipv6(six, udp(ports, payload)),
    ][index % 4]!();
    const timestampNs = startNs + BigInt(index) * 1_000_000_000n;
    return [0n, 500_000_000n].map((more) => ({ frame: ethernet(packet), timestampNs: timestampNs + more }));
  }).flat();
}

interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly exit: number;
}

const nothing: AgentClient = {
  get: () => Promise.reject(new Error("no agent is to be asked")),
  post: () => Promise.reject(new Error("no agent is to be asked")),
  stream: () => {
    throw new Error("no agent is to be asked");
  },
  bytes: () => {
    throw new Error("no agent is to be asked");
  },
};

function sink(): { stream: Writable; text: () => string } {
  const chunks: string[] = [];
  const stream = new Writable({
    // Small, so that waiting for `drain` is part of every test.
    highWaterMark: 16,
    write(chunk, _, done) {
      chunks.push(String(chunk));
      setImmediate(done);
    },
  });
  return { stream, text: () => chunks.join("") };
}

async function observe(
  args: readonly string[],
  agent = nothing,
  signal = new AbortController().signal,
): Promise<Outcome> {
  const stdout = sink();
  const stderr = sink();
  const context: CliContext = {
    process: { stdout: stdout.stream, stderr: stderr.stream },
    stdin: Readable.from([]),
    stdout: stdout.stream,
    stderr: stderr.stream,
    env: {},
    agent,
    dataDirectory: folder,
    section: () => Promise.reject(new Error("no configuration is to be read")),
    signal,
    color: false,
  };
  const root = buildRouteMap<string, CliContext>({ docs: { brief: "flows" }, routes: flowsCommands });
  const application = buildApplication<CliContext>(root, {
    name: "flows",
    determineExitCode: (error) => (error as X0Error).exit,
  });
  const process: CliContext["process"] & { exitCode?: number } = { ...context.process };
  await run(application, ["observe", ...args], { ...context, process: process as never });
  await Promise.all([stdout.stream, stderr.stream].map((stream) => finished(stream.end())));
  return { stdout: stdout.text(), stderr: stderr.text(), exit: process.exitCode ?? 0 };
}

function capture(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

function jsonLines<T>(text: string): T[] {
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as T);
}

describe("--replay", () => {
  const path = capture("forty.pcap", pcap(traffic(40)));

  test("shows every flow of the capture once, oldest first", async () => {
    const { stdout, stderr, exit } = await observe(["--replay", path, "-o", "json"]);
    const flows = jsonLines<Flow>(stdout);
    for (const flow of flows) flowSchema.parse(flow);
    expect(flows.map((flow) => flow.id)).toEqual(Array.from({ length: 40 }, (_, index) => String(index + 1)));
    expect(flows.every((flow) => flow.packets.sent === 2)).toBe(true);
    expect({ stderr, exit }).toEqual({ stderr: "", exit: 0 });
  });

  test("as a table", async () => {
    const { stdout } = await observe(["--replay", path]);
    const lines = stdout.trimEnd().split("\n");
    expect(lines).toHaveLength(41);
    expect(lines[0]).toMatch(/^TIME .* INSIGHT$/);
    expect(lines[1]).toMatch(/10\.0\.0\.0:40000 +→ 10\.9\.9\.9:443 +tcp/);
  });

  test.each<[string[], number[]]>([
    [
      ["--last", "3"],
      [38, 39, 40],
    ],
    [
      ["--protocol", "icmp", "--last", "2"],
      [35, 39],
    ],
    [["--port", "40004"], [5]],
    [
      ["--ip", "10.0.0.0/30"],
      [1, 2, 3],
    ],
    [
      ["--ip", "2001:db8::/64", "--until", "2026-01-01T00:00:08Z"],
      [4, 8],
    ],
    [
      ["--since", "2026-01-01T00:00:38.500Z"],
      [39, 40],
    ],
    [["--process", "curl"], []],
  ])("%j", async (filter, ids) => {
    const { stdout } = await observe(["--replay", path, "-o", "json", ...filter]);
    expect(jsonLines<Flow>(stdout).map((flow) => Number(flow.id))).toEqual(ids);
  });

  test("--follow shows starts and ends as they come", async () => {
    const { stdout } = await observe(["--replay", path, "-f", "-o", "json", "--port", "40001"]);
    const changes = jsonLines<FlowChange>(stdout).map(
      ({ change, flow }) => `${change} ${flow.id} ${flow.state}`,
    );
    expect(changes).toEqual(["start 2 active", "update 2 active"]);
  });

  test("shows what came before a fault, then fails", async () => {
    const bytes = pcap(traffic(40));
    const { stdout, stderr, exit } = await observe([
      "--replay",
      capture("cut.pcap", bytes.subarray(0, -1)),
      "-o",
      "json",
    ]);
    expect(jsonLines<Flow>(stdout)).toHaveLength(40);
    expect(exit).toBe(1);
    expect(stderr).toMatch(new RegExp(`the capture ends at byte ${bytes.length - 1}`));
    const last = await observe(["--replay", join(folder, "cut.pcap"), "-o", "json", "--last", "1"]);
    expect(jsonLines<Flow>(last.stdout)).toMatchObject([{ id: "40", packets: { sent: 1 } }]);
    expect(last.exit).toBe(1);
  });

  test("says when nothing matches, and what it could not read", async () => {
    const usb = { frame: new Uint8Array(20), timestampNs: 0n, interfaceId: 1 };
    const interfaces = [{ linkType: 1 }, { linkType: 220 }];
    const mixed = capture("mixed.pcapng", pcapng([...traffic(1), usb], { interfaces }));
    expect(await observe(["--replay", mixed, "--port", "9"])).toMatchObject({
      stdout: "",
      stderr:
        "no flow matches; the capture has 3 packets, 0 of them not IP\nskipped 1 packets of link type 220\n",
      exit: 0,
    });
    const only = capture(
      "usb.pcapng",
      pcapng([{ ...usb, interfaceId: 0 }], { interfaces: [{ linkType: 220 }] }),
    );
    const { stderr, exit } = await observe(["--replay", only]);
    expect(stderr).toMatch(/no packet is of a link type that x0 reads \(type 220\)/);
    expect(exit).toBe(1);
  });

  test("wrong values are refused before anything is read", async () => {
    for (const args of [
      ["--ip", "x"],
      ["--port", "70000"],
      ["--last", "0"],
      ["--protocol", "tpc"],
      ["--since", "x"],
    ]) {
      const { stdout, stderr } = await observe(["--replay", "/nowhere", ...args]);
      expect(stdout).toBe("");
      expect(stderr).toMatch(/cannot be "(x|70000|0|tpc)"/);
    }
  });

  test("an interrupt ends it without an error", async () => {
    expect(await observe(["--replay", path], nothing, AbortSignal.abort())).toMatchObject({
      exit: 0,
      stdout: "",
    });
  });

  test("needs no native code: koffi is not loaded", () => {
    const script = `
      const { createRequire } = await import("node:module");
      const { readCapture, replayFlows, replayTotals, flowsCommands } = await import(${JSON.stringify(new URL("../index.ts", import.meta.url))});
      await flowsCommands.observe.loader();
      let flows = 0;
      for await (const { change } of replayFlows(readCapture(process.argv[1]), replayTotals())) if (change === "start") flows++;
      const require = createRequire(import.meta.url);
      console.log(flows, Object.keys(require.cache).filter((file) => file.includes("koffi")).length);
    `;
    const args = ["--conditions=x0tta6bl4-source", "--input-type=module", "-e", script, path];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect(stderr).toBe("");
    expect(stdout).toBe("40 0\n");
  });
});

/** The routes that the command asks, over flows that are at hand, newest first in pages of at most seven. */
function agentOf(flows: readonly Flow[], live: readonly StreamEvent[] = [], lostPackets = 0): AgentClient {
  return {
    ...nothing,
    async get(path, query = {}): Promise<FlowList> {
      expect(path).toBe("/api/v1/flows");
      const { last, limit, after, ...filter } = flowQuerySchema.parse(query);
      const newest = flows.filter(compileFilter(filter, Date.now())).toReversed().slice(0, last);
      const from = Number(after ?? 0);
      const to = from + Math.min(limit, 7);
      const covers = { from: new Date(0).toISOString(), to: new Date(0).toISOString(), lostPackets };
      return { flows: newest.slice(from, to), next: to < newest.length ? String(to) : null, covers };
    },
    async *stream(path, query) {
      expect(path).toBe("/api/v1/flows/follow");
      const matches = compileFilter(flowQuerySchema.parse(query), Date.now());
      for (const event of live)
        if (event.event !== "flow" || matches((event.data as FlowChange).flow)) yield event;
    },
  };
}

describe("the agent", async () => {
  const flows: Flow[] = [];
  async function* bytes() {
    yield pcap(traffic(60));
  }
  for await (const { change, flow } of replayFlows(readCaptureBytes(bytes()), replayTotals()))
    if (change !== "start") flows.push({ ...flow, state: Number(flow.id) < 59 ? "ended" : "active" });
  flows.sort((a, b) => Number(a.id) - Number(b.id));
  const ids = (text: string) => jsonLines<Flow>(text).map((flow) => Number(flow.id));
  const from = (first: number, count: number) => Array.from({ length: count }, (_, index) => first + index);

  test.each<[string[], number[]]>([
    [[], from(41, 20)],
    [
      ["--last", "2"],
      [59, 60],
    ],
    [["--last", "30"], from(31, 30)],
    [
      ["--protocol", "icmp", "--last", "3"],
      [51, 55, 59],
    ],
    [["--since", "2026-01-01T00:00:50.500Z"], from(51, 10)],
    [["--since", "2026-01-01T00:00:50.500Z", "--last", "1"], [60]],
    [["--until", "2026-01-01T00:00:02Z", "--ip", "10.0.0.0/24", "--port", "40001", "--process", "curl"], []],
  ])("%j, oldest first", async (args, expected) => {
    const { stdout, stderr, exit } = await observe([...args, "-o", "json"], agentOf(flows));
    expect(ids(stdout)).toEqual(expected);
    const isStretch = args.includes("--since") || args.includes("--until");
    const covered = isStretch ? /^from \S+ to \S+, 0 packets lost\n/ : /^/;
    expect(stderr.replace(covered, "")).toBe(expected.length === 0 ? "no flow matches\n" : "");
    expect(stderr).toMatch(covered);
    expect(exit).toBe(0);
  });

  test("says how many packets are in no flow", async () => {
    const { stderr } = await observe([], agentOf(flows, [], 12));
    expect(stderr).toMatch(/^from \S+ to \S+, 12 packets lost\n$/);
  });

  const event = (change: FlowChange["change"], id: number): StreamEvent => ({
    event: "flow",
    data: { change, flow: { ...flows[id - 1], state: change === "end" ? "ended" : "active" } },
  });
  const changesOf = (text: string) =>
    jsonLines<FlowChange>(text).map(({ change, flow }) => `${change} ${flow.id}`);

  test("--follow prints starts and ends, and says what is lost", async () => {
    const live = [
      event("start", 1),
      event("update", 1),
      { event: "dropped", data: { count: 3 } },
      event("end", 1),
    ];
    const json = await observe(["-f", "-o", "json"], agentOf(flows, live));
    expect(changesOf(json.stdout)).toEqual(["start 1", "end 1"]);
    const table = await observe(["-f"], agentOf(flows, live));
    const column = table.stdout.split("\n").map((line) => line.split(/ +/)[1]);
    expect(column).toEqual(["STATE", "start", "end", undefined]);
    expect(table.stderr).toBe("3 starts and ends are missing here: they came faster than they were read\n");
  });

  test("--follow --last begins with history and shows nothing of it twice", async () => {
    const live = [event("end", 58), event("start", 59), event("start", 1), event("end", 59)];
    const { stdout } = await observe(["-f", "--last", "3", "-o", "json"], agentOf(flows, live));
    expect(changesOf(stdout)).toEqual(["end 58", "update 59", "update 60", "start 1", "end 59"]);
  });

  test("--follow filters", async () => {
    const live = [event("start", 1), event("start", 2), event("start", 3)];
    const { stdout } = await observe(["-f", "--protocol", "udp", "-o", "json"], agentOf(flows, live));
    expect(changesOf(stdout)).toEqual(["start 2"]);
  });

  test("a fault while following hangs up, although the stream goes on", async () => {
    let hungUp = false;
    const endless: AgentClient = {
      ...nothing,
      async *stream(_path, _query, signal) {
        yield { event: "flow", data: { change: "start", flow: {} } };
        await once(signal, "abort");
        hungUp = true;
      },
    };
    const { stderr, exit } = await observe(["-f"], endless);
    expect({ hungUp, exit }).toEqual({ hungUp: true, exit: 1 });
    expect(stderr).toMatch(/not understood/);
  });

  test("an answer of another shape is an error that names the field", async () => {
    const other: AgentClient = { ...nothing, get: async () => ({ flows: [{ id: 1 }] }) };
    const { stderr, exit } = await observe([], other);
    expect(exit).toBe(1);
    expect(stderr).toMatch(/the agent's answer is not understood: .*flows\[0\]/s);
  });
});
