/**
 * The real `hubble` command against our API. Known flows are asked for with each of its filters, and the answer must be
 * what Hubble's own filters find when the command reads our JSON of the same flows from a file; in all outputs. Then an
 * agent in a namespace, with known traffic, found at the command's default address.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@x0tta6bl4/core";
import { type Hubble, openHubble } from "../packages/flows/src/hubble/hubble.ts";
import { readBatch } from "../packages/flows/src/recording/record.ts";
import { mixedFlows } from "../packages/flows/src/testing/flows.ts";
import { batchOf } from "../packages/flows/src/testing/records.ts";
import {
  connect,
  createNamespace,
  missingKernel,
  type Namespace,
  ping,
  run as runCommand,
  start,
  startAgent,
  tcpTraffic,
  udpTraffic,
} from "../test/lab/index.ts";
import type { ConformanceOptions, ConformanceResult } from "./lib/conformance.ts";
import { hubbleCli } from "./lib/hubble-cli.ts";
import { filters, knownEvents, refusals } from "./lib/hubble-questions.ts";

const seed = 20_261_122;
const firstMs = Date.parse("2026-11-22T10:00:00Z");

export async function run({ quick }: ConformanceOptions): Promise<ConformanceResult> {
  const found = await hubbleCli({ mayBuild: !quick });
  if ("lack" in found) return { outcome: "skipped", reason: found.lack };
  const folder = await mkdtemp(join(tmpdir(), "x0-hubble-"));
  try {
    const compared = await knownFlows(found.path, folder);
    const lack = await missingKernel("netns", "bpf", "btf");
    if (lack !== undefined) return { outcome: "passed", reason: `${compared}; no agent: ${lack}` };
    return { outcome: "passed", reason: `${compared}, ${await liveAgent(found.path, join(folder, "data"))}` };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function demand(isSo: boolean, what: string): void {
  if (!isSo) throw new Error(what);
}

async function knownFlows(cli: string, folder: string): Promise<string> {
  const hubble = await openHubble({
    listen: "127.0.0.1:0",
    relayListen: "127.0.0.1:0",
    metrics: [],
    version: "0.1.0",
    clock: systemClock,
    nodeName: "edge-1",
  });
  try {
    const server = ["--server", `127.0.0.1:${hubble.port("node")}`];
    const relay = ["--server", `127.0.0.1:${hubble.port("relay")}`];
    const hubbleSays = async (...argv: readonly string[]): Promise<string> =>
      (await runCommand([cli, ...argv])).stdout;
    feed(hubble);
    const all = await hubbleSays("observe", ...server, "--all", "-o", "jsonpb");
    const file = join(folder, "flows.json");
    await writeFile(file, all);
    const count = all.trim().split("\n").length;
    demand(count > 700, `only ${count} flows`);
    for (const filter of filters) {
      const ask = ["observe", "--all", "-o", "jsonpb", ...filter];
      const [ours, theirs] = await Promise.all([
        hubbleSays(...ask, ...server),
        hubbleSays(...ask, "--input-file", file),
      ]);
      demand(ours === theirs, `${filter.join(" ")}: ${difference(ours, theirs)}`);
    }
    for (const output of ["compact", "dict", "table", "json"]) {
      // The command asks for the fields that it prints, but for names; of a file it has them all.
      const ask = ["observe", "--all", "-o", output, "--use-default-field-masks=false"];
      const [ours, theirs] = await Promise.all([
        hubbleSays(...ask, ...server),
        hubbleSays(...ask, "--input-file", file),
      ]);
      demand(ours === theirs, `-o ${output}: ${difference(ours, theirs)}`);
    }
    for (const [filter, field] of refusals)
      await runCommand([cli, "observe", ...server, ...filter]).then(
        () => demand(false, `${filter.join(" ")} was not refused`),
        (error: Error) => demand(error.message.includes(field), `${filter.join(" ")}: ${error.message}`),
      );
    const lines = all.trim().split("\n");
    const some = ["observe", "-o", "jsonpb", ...server];
    demand((await hubbleSays(...some)).trim() === lines.slice(-20).join("\n"), "20 flows by default");
    demand((await hubbleSays(...some, "--last", "7")).trim() === lines.slice(-7).join("\n"), "--last 7");
    demand((await hubbleSays(...some, "--first", "5")).trim() === lines.slice(0, 5).join("\n"), "--first 5");
    const uuid = (JSON.parse(lines[33] as string) as { flow: { uuid: string } }).flow.uuid;
    const one = await hubbleSays(...some, "--all", "--uuid", uuid);
    demand(one.trim() === lines[33], `--uuid ${uuid}: ${one}`);
    const masked = await hubbleSays(...some, "--last", "1", "--field-mask", "IP.source,verdict");
    demand(
      JSON.stringify(Object.keys((JSON.parse(masked) as { flow: object }).flow)) === '["verdict","IP"]',
      `field mask: ${masked}`,
    );
    await listsAndStatus(hubbleSays, server, relay, count);
    await follows(cli, hubble, relay);
    return `${count} flows, ${filters.length} filters, ${refusals.length} refusals`;
  } finally {
    await hubble.close(1000);
  }
}

function feed(hubble: Hubble): void {
  const flows = mixedFlows(seed, 300, firstMs).flatMap((flow) => [
    { flow: { ...flow, end: flow.start }, change: "start" as const },
    {
      flow: { ...flow, end: flow.start },
      change: flow.state === "ended" ? ("end" as const) : ("update" as const),
    },
  ]);
  hubble.take(readBatch(batchOf(flows, { fromMs: firstMs, toMs: firstMs + 1000 })), knownEvents(firstMs));
}

function difference(ours: string, theirs: string): string {
  const [a, b] = [ours.split("\n"), theirs.split("\n")];
  const at = a.findIndex((line, index) => line !== b[index]);
  return `line ${at} of ${a.length} and ${b.length}: we ${a[at] ?? "nothing"}, hubble ${b[at] ?? "nothing"}`;
}

type Says = (...argv: readonly string[]) => Promise<string>;

async function listsAndStatus(
  says: Says,
  server: readonly string[],
  relay: readonly string[],
  count: number,
): Promise<void> {
  const status = JSON.parse(await says("status", ...server, "-o", "json")) as Record<string, string>;
  demand(
    status["num_flows"] === String(count) && status["seen_flows"] === String(count),
    JSON.stringify(status),
  );
  const compact = await says("status", ...relay);
  demand(/Healthcheck .*: Ok/.test(compact) && compact.includes("Connected Nodes: 1/1"), compact);
  const nodes = await says("list", "nodes", ...relay, "-o", "wide");
  demand(/edge-1 +Connected/.test(nodes), nodes);
  demand((await says("list", "namespaces", ...relay)).trim() === "NAMESPACE", "namespaces");
}

/** What comes while somebody follows, losses among it. */
async function follows(cli: string, hubble: Hubble, relay: readonly string[]): Promise<void> {
  const follow = start(
    [cli, "observe", ...relay, "--follow", "--debug", "-o", "compact"],
    /Receiving flows from 1 nodes: edge-1/,
  );
  await using following = await follow;
  const flows = mixedFlows(seed + 1, 50, firstMs + 60_000).map((flow) => ({
    flow,
    change: "start" as const,
  }));
  const coverage = { fromMs: firstMs, toMs: firstMs + 1000, lostEvents: 7 };
  hubble.take(readBatch(batchOf(flows, coverage)), []);
  await following.waitFor(/EVENTS LOST: PERF_EVENT_RING_BUFFER CPU\(0\) 7/);
  const seen = following.output().match(/\b(?:FORWARDED|AUDITED|AUDIT|DROPPED)\b/g)?.length ?? 0;
  demand(seen === 50, `50 flows came, hubble shows ${seen}`);
}

/** An agent in its namespace, where the command finds it without being told. */
async function liveAgent(cli: string, folder: string): Promise<string> {
  await using client = await createNamespace();
  await using server = await createNamespace();
  const [left, right] = await connect(client, server, { offloads: false });
  const places = server;
  await using agent = await startAgent({ places, folder });
  await agent.observes(2);
  const observe = async (...argv: readonly string[]): Promise<Shown[]> => {
    const limit = argv.includes("--last") ? [] : ["--all"];
    const { stdout } = await runCommand([cli, "observe", ...limit, "-o", "jsonpb", ...argv], {
      places: server,
    });
    return stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => (JSON.parse(line) as { readonly flow: Shown }).flow);
  };
  await using following = await start(
    [cli, "observe", "--follow", "--protocol", "udp", "--debug", "-o", "compact"],
    /Receiving flows from 1 nodes/,
    { places: server },
  );
  await traffic(client, server, right.ipv4, right.ipv6);
  await following.waitFor(new RegExp(`${left.ipv4.replaceAll(".", "\\.")}:\\d+ .*UDP`));
  let shown: Shown[] = [];
  const expected = { syn: 4, "syn-ack": 4, udp: 1, echo: 1, echoReply: 1 };
  const deadline = performance.now() + 30_000;
  // Replies come with the first record after the start, which is a matter of seconds.
  for (;;) {
    // The command's own connections are flows, too.
    shown = await observe("--not", "--port", "4245");
    const got = summary(shown);
    if (JSON.stringify(got) === JSON.stringify(expected)) break;
    demand(performance.now() < deadline, `expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  const fromClient = await observe(
    "--from-ip",
    left.ipv4,
    "--protocol",
    "tcp",
    "--tcp-flags",
    "syn",
    "--not-reply",
  );
  demand(fromClient.length === 4, `--from-ip: ${fromClient.length} openings`);
  const { stdout } = await runCommand([cli, "status"], { places: server });
  demand(stdout.includes("Healthcheck (via localhost:4245): Ok"), stdout);
  await agent.stop();
  // What was before the restart is on disk only.
  await using next = await startAgent({ places, folder });
  await next.observes(2);
  const stored = await observe("--not", "--port", "4245", "--since", "1h");
  demand(
    JSON.stringify(summary(stored)) === JSON.stringify(expected),
    `after a restart: ${JSON.stringify(summary(stored))}`,
  );
  const lastOpening = await observe(
    "--tcp-flags",
    "syn",
    "--not-reply",
    "--from-ip",
    left.ipv4,
    "--last",
    "1",
  );
  demand(lastOpening.length === 1, `--last 1 after a restart: ${lastOpening.length}`);
  return `${shown.length} flows of a live agent, from memory and from disk`;
}

interface Shown {
  readonly Summary: string;
  readonly is_reply: boolean;
  readonly l4?: Readonly<Record<string, unknown>>;
}

async function traffic(client: Namespace, server: Namespace, host: string, host6: string): Promise<void> {
  await tcpTraffic({ client, server, host, connections: 4, requestBytes: 100, replyBytes: 10_000 });
  await udpTraffic({ sender: client, receivers: [server], host, count: 5, sizeBytes: 700 });
  await ping(client, { host: host6, count: 2 });
}

function summary(flows: readonly Shown[]): Record<string, number> {
  const count = (test: (flow: Shown) => boolean): number => flows.filter(test).length;
  return {
    syn: count(({ Summary }) => Summary === "TCP Flags: SYN"),
    "syn-ack": count(({ Summary }) => Summary === "TCP Flags: SYN, ACK"),
    udp: count(({ Summary, is_reply }) => Summary === "UDP" && !is_reply),
    echo: count(({ Summary }) => Summary === "ICMPv6 EchoRequest"),
    echoReply: count(({ Summary }) => Summary === "ICMPv6 EchoReply"),
  };
}
