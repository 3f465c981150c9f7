import { createServer } from "node:net";
import { byteWriter, type Clock, systemClock } from "@x0tta6bl4/core";
import { expect, onTestFinished, test } from "vitest";
import { type RecordReader, readBatch } from "../recording/record.ts";
import { testFlow } from "../testing/flows.ts";
import { type GrpcClient, grpcClient, grpcFrame } from "../testing/grpc-client.ts";
import { batchOf } from "../testing/records.ts";
import { decode, encode, type Message, type Values } from "./codec.ts";
import { status } from "./grpc.ts";
import type { HubbleHistory } from "./history.ts";
import { type Hubble, type HubbleOptions, openHubble } from "./hubble.ts";
import {
  flowMessage,
  getFlowsRequest,
  getFlowsResponse,
  getNodesResponse,
  healthCheckRequest,
  nodeState,
  serverStatusResponse,
} from "./schema.ts";

const firstMs = Date.UTC(2026, 10, 22);
const none = Buffer.alloc(0);

async function opened(
  options: Partial<HubbleOptions> = {},
): Promise<{ hubble: Hubble; client: GrpcClient; relay: GrpcClient }> {
  const hubble = await openHubble({
    listen: "127.0.0.1:0",
    relayListen: "127.0.0.1:0",
    metrics: [],
    version: "0.1.0",
    clock: systemClock,
    nodeName: "edge-1",
    ...options,
  });
  const clients = ["node", "relay"].map((role) => grpcClient(hubble.port(role as "node") ?? 0));
  onTestFinished(async () => {
    for (const client of clients) await client[Symbol.asyncDispose]();
    await hubble.close(1000);
  });
  return { hubble, client: clients[0] as GrpcClient, relay: clients[1] as GrpcClient };
}

function bytesOf(table: Message, values: Values): Buffer {
  const writer = byteWriter();
  encode(writer, table, values);
  return grpcFrame(writer.bytes.subarray(0, writer.length));
}

/** Openings, one a millisecond, of TCP and UDP by turns. */
const openings = (from: number, count: number): RecordReader =>
  readBatch(
    batchOf(
      Array.from({ length: count }, (_, at) => ({
        flow: testFlow({
          id: String(1 + from + at),
          start: new Date(firstMs + from + at).toISOString(),
          protocol: at % 2 === 0 ? "tcp" : "udp",
        }),
        change: "start" as const,
      })),
    ),
  );

const getFlows = (client: GrpcClient, request: Values) =>
  client.call("/observer.Observer/GetFlows", bytesOf(getFlowsRequest, request));

const responsesOf = (messages: readonly Buffer[]): Values[] =>
  messages.map((message) => decode(getFlowsResponse, message));

/** Milliseconds after the first flow, which are also the flows' numbers. */
async function timesOf(client: GrpcClient, request: Values): Promise<number[]> {
  const { status: code, messages, text } = await getFlows(client, request).answer;
  expect([code, text]).toEqual([0, ""]);
  return responsesOf(messages).map(({ time }) => time - firstMs);
}

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, at) => from + at);

test.each<[string, Values, number[]]>([
  ["all", {}, numbers(0, 100)],
  ["all, as --all asks", { number: 2n ** 64n - 1n }, numbers(0, 100)],
  ["the last three", { number: 3 }, [97, 98, 99]],
  ["the first three", { number: 3, first: true }, [0, 1, 2]],
  ["since", { since: firstMs + 95 }, [95, 96, 97, 98, 99]],
  ["until", { until: firstMs + 2 }, [0, 1, 2]],
  ["between", { since: firstMs + 40, until: firstMs + 42 }, [40, 41, 42]],
  ["since, so many", { since: firstMs + 40, number: 2 }, [40, 41]],
  ["the last until", { until: firstMs + 50, number: 2 }, [49, 50]],
  ["more than there are", { number: 1000 }, numbers(0, 100)],
])("%s", async (_, request, expected) => {
  const { hubble, client } = await opened();
  hubble.take(openings(0, 100), []);
  expect(await timesOf(client, request)).toEqual(expected);
});

test("filters come before limits", async () => {
  const { hubble, client } = await opened();
  hubble.take(openings(0, 500), []);
  const tcp = { whitelist: [{ protocol: ["tcp"] }] };
  const all = await timesOf(client, tcp);
  expect(all).toHaveLength(250);
  expect(await timesOf(client, { ...tcp, number: 4 })).toEqual(all.slice(-4));
  expect(await timesOf(client, { ...tcp, number: 4, first: true })).toEqual(all.slice(0, 4));
  const others = await timesOf(client, { blacklist: [{ protocol: ["tcp"] }] });
  expect([...all, ...others].toSorted((a, b) => a - b)).toEqual(numbers(0, 500));
});

test("a follower gets what comes, after the last that it asked for", async () => {
  const { hubble, client } = await opened();
  hubble.take(openings(0, 10), []);
  const fresh = getFlows(client, { follow: true });
  const latest = getFlows(client, { follow: true, number: 2 });
  await latest.received(2);
  // Calls are answered in the order in which they came, so the first one follows by now.
  await getFlows(client, { number: 1 }).answer;
  hubble.take(openings(10, 3), []);
  hubble.take(openings(13, 1), []);
  const times = async (call: typeof fresh, count: number) =>
    responsesOf(await call.received(count)).map(({ time }) => time - firstMs);
  expect(await times(fresh, 4)).toEqual([10, 11, 12, 13]);
  expect(await times(latest, 6)).toEqual([8, 9, 10, 11, 12, 13]);
  fresh.cancel();
  await hubble.close(1000);
  await latest.answer;
});

test("what a follower was too slow for is told and counted", async () => {
  const { hubble, client } = await opened();
  hubble.take(openings(0, 1), []);
  const call = getFlows(client, { follow: true, number: 1 });
  await call.received(1);
  // All at once, before the follower has its turn.
  for (let turn = 0; turn < 10; turn++) hubble.take(openings(1 + turn * 4000, 4000), []);
  const responses = responsesOf(await call.received(2));
  const lost = responses.find(({ lost_events }) => lost_events !== undefined)?.["lost_events"];
  const told = 40_000 - lost.num_events_lost;
  const flows = responsesOf(await call.received(told + 2)).filter(({ flow }) => flow !== undefined);
  expect(flows.at(-1)?.["time"]).toBe(firstMs + 40_000);
  expect(told).toBeLessThan(20_000);
  expect(hubble.samples()).toContainEqual(
    expect.objectContaining({ labels: { source: "hubble_ring_buffer" }, value: lost.num_events_lost }),
  );
  call.cancel();
});

/** A hundred flows a page, as a disk would give them. */
function pages(count: number): HubbleHistory {
  return {
    async *flows({ fromMs, toMs, newestFirst }) {
      const all = Array.from({ length: count }, (_, page) => page);
      for (const page of newestFirst ? all.toReversed() : all) {
        const [from, to] = [firstMs + page * 100, firstMs + page * 100 + 100];
        if (to > fromMs && from < toMs)
          yield { fromMs: from, toMs: to, records: openings(page * 100, 100), events: [] };
      }
    },
  };
}

test.each<[string, Values, number[]]>([
  ["all", {}, numbers(0, 1000)],
  ["the last of memory", { number: 5 }, numbers(995, 1000)],
  ["the last, some of them from the disk", { number: 450 }, numbers(550, 1000)],
  ["the first", { number: 120, first: true }, numbers(0, 120)],
  ["since", { since: firstMs + 680 }, numbers(680, 1000)],
  ["between, from the disk", { since: firstMs + 90, until: firstMs + 110 }, numbers(90, 111)],
  ["more than there are", { number: 5000 }, numbers(0, 1000)],
])("with a history: %s", async (_, request, expected) => {
  // The disk has everything, memory only what came after the start.
  const { hubble, client } = await opened({ history: pages(10) });
  hubble.take(openings(750, 250), []);
  expect(await timesOf(client, request)).toEqual(expected);
});

test("with a history and nothing in memory yet", async () => {
  const { client } = await opened({ history: pages(2) });
  expect(await timesOf(client, { number: 3 })).toEqual([197, 198, 199]);
});

test("a field mask leaves the rest out, and the time on the answer", async () => {
  const { hubble, client } = await opened();
  hubble.take(openings(0, 1), []);
  const mask = { paths: ["IP.source", "verdict"] };
  for (const request of [{ field_mask: mask }, { experimental: { field_mask: mask } }]) {
    const [response] = responsesOf((await getFlows(client, request).answer).messages);
    expect(response).toEqual({
      flow: { IP: { source: expect.any(String) }, verdict: 1 },
      node_name: "edge-1",
      time: firstMs,
    });
  }
});

test.each<[string, Values, number, RegExp]>([
  ["first and follow", { first: true, follow: true }, status.invalidArgument, /exclude each other/],
  [
    "an unknown field in a mask",
    { field_mask: { paths: ["colour"] } },
    status.invalidArgument,
    /no field "colour"/,
  ],
  ["a service", { whitelist: [{ source_service: ["api"] }] }, status.unimplemented, /source_service/],
  ["CEL", { blacklist: [{ experimental: { cel_expression: ["true"] } }] }, status.unimplemented, /CEL/],
  ["a wrong prefix", { whitelist: [{ source_ip: ["10.0.0.0/33"] }] }, status.invalidArgument, /source_ip/],
  ["65 filters", { whitelist: Array.from({ length: 65 }, () => ({})) }, status.invalidArgument, /64 filters/],
])("refused: %s", async (_, request, code, text) => {
  const { client } = await opened();
  const answer = await getFlows(client, request).answer;
  expect(answer).toMatchObject({ status: code, text: expect.stringMatching(text), messages: [] });
});

test("a filter that this version does not know is refused, not ignored", async () => {
  const { client } = await opened();
  // whitelist { 500: 1 }
  const request = grpcFrame(Buffer.from("3203a01f01", "hex"));
  const answer = await client.call("/observer.Observer/GetFlows", request).answer;
  expect(answer).toMatchObject({
    status: status.unimplemented,
    text: "field 500 of FlowFilter is not known here",
  });
});

test("status, nodes, namespaces, health", async () => {
  let nowMs = firstMs;
  const clock: Clock = { nowMs: () => nowMs, monotonicNs: () => 0n };
  const { hubble, client, relay } = await opened({ clock });
  nowMs += 10_000;
  hubble.take(openings(0, 50), []);
  const ask = async (from: GrpcClient, table: Message, path: string): Promise<Values> =>
    decode(table, (await from.call(path, grpcFrame(none)).answer).messages[0] ?? none);
  const sums = { num_flows: 50, max_flows: 16_384, seen_flows: 50, uptime_ns: 1e10 };
  const statusPath = "/observer.Observer/ServerStatus";
  expect(await ask(client, serverStatusResponse, statusPath)).toEqual({
    ...sums,
    version: "x0tta6bl4 0.1.0",
    flows_rate: 5,
  });
  expect(await ask(relay, serverStatusResponse, statusPath)).toMatchObject({
    num_connected_nodes: 1,
    num_unavailable_nodes: 0,
  });
  expect(await ask(relay, getNodesResponse, "/observer.Observer/GetNodes")).toEqual({
    nodes: [
      {
        ...sums,
        name: "edge-1",
        version: "0.1.0",
        address: `127.0.0.1:${hubble.port("relay")}`,
        state: nodeState.numbers["NODE_CONNECTED"],
        tls: {},
      },
    ],
  });
  expect(await ask(relay, flowMessage, "/observer.Observer/GetNamespaces")).toEqual({});
  const health = await client.call("/grpc.health.v1.Health/Check", grpcFrame(none)).answer;
  expect(health.messages[0]?.toString("hex")).toBe("0801");
  const named = bytesOf(healthCheckRequest, { service: "hubble.server.Observer" });
  expect((await client.call("/grpc.health.v1.Health/Check", named).answer).status).toBe(0);
  const other = bytesOf(healthCheckRequest, { service: "relay.Other" });
  expect(await client.call("/grpc.health.v1.Health/Check", other).answer).toMatchObject({
    status: status.notFound,
    text: "relay.Other is not served here",
  });
  for (const method of ["GetAgentEvents", "GetDebugEvents"]) {
    const answer = await client.call(`/observer.Observer/${method}`, grpcFrame(none)).answer;
    expect(answer).toMatchObject({
      status: status.unimplemented,
      text: expect.stringContaining("plain host"),
    });
  }
});

test("a relay says first of which node it speaks", async () => {
  const { hubble, relay } = await opened();
  hubble.take(openings(0, 1), []);
  const [first, second] = responsesOf((await getFlows(relay, {}).answer).messages);
  expect(first).toMatchObject({
    node_status: { state_change: 1, node_names: ["edge-1"] },
    node_name: "edge-1",
  });
  expect(second).toHaveProperty("flow.node_name", "edge-1");
});

test("a port that somebody has: off where it is the default, an error where it was asked for", async () => {
  const taken = createServer().listen(4245, "127.0.0.1");
  // Where an agent runs on this machine, it has the port itself.
  await new Promise((resolve) => taken.once("listening", resolve).once("error", resolve));
  onTestFinished(() => void taken.close());
  const options = { metrics: [], version: "0.1.0", clock: systemClock, listen: "off" };
  const hubble = await openHubble({ ...options, relayListen: "127.0.0.1:4245" });
  expect(hubble.features()).toMatchObject([
    { name: "hubble", state: "off", reason: "turned off by flows.hubble_listen" },
    { name: "hubble relay", state: "off", reason: "127.0.0.1:4245 is in use by another program" },
    { name: "hubble metrics", state: "off" },
  ]);
  await hubble.close(1000);
  await expect(openHubble({ ...options, relayListen: "localhost:4245" })).rejects.toThrow(
    expect.objectContaining({ code: "X0_FLOWS_HUBBLE_LISTEN" }),
  );
});

test.each([
  "0.0.0.0:0",
  "192.0.2.1:0",
  "[::]:0",
  "[::ffff:192.0.2.1]:0",
  "example.org:0",
  "4244",
  "127.0.0.1:70000",
])("%s is refused: nothing listens beyond loopback", async (listen) => {
  const options = { metrics: [], version: "0.1.0", clock: systemClock, relayListen: "off" };
  await expect(openHubble({ ...options, listen })).rejects.toThrow(/is no loopback address with a port/);
});
