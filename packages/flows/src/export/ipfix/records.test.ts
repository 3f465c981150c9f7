import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Flow } from "../../flow.ts";
import { protocolNumber } from "../../protocols.ts";
import { mixedFlows, testFlow } from "../../testing/flows.ts";
import type { Recorded } from "../../testing/records.ts";
import { batch } from "../testing/batches.ts";
import { ipfixReader, type Values } from "../testing/ipfix.ts";
import { elementNames } from "./elements.ts";
import type { IpfixMessage } from "./messages.ts";
import { ipfixRecords } from "./records.ts";
import { openSession } from "./session.ts";
import { ipfixTemplates } from "./templates.ts";
import { UDP_MESSAGE_BYTES } from "./udp.ts";

interface Options {
  readonly isBiflow?: boolean;
  readonly fields?: readonly string[];
  readonly maxBytes?: number;
}

/** What a collector reads of batches: the data records of flows, and the lengths of messages. */
function exported(batches: readonly (readonly (Flow | Recorded)[])[], options: Options = {}) {
  const { isBiflow = false, fields = [], maxBytes = UDP_MESSAGE_BYTES } = options;
  const templates = ipfixTemplates(fields, isBiflow);
  const waiting: IpfixMessage[] = [];
  const records = ipfixRecords({
    templates,
    isBiflow,
    maxBytes,
    interfaceIndex: (_, name) => (name === "eth0" ? 2 : 0),
    put: (message) => waiting.push(message),
  });
  for (const entries of batches) {
    const reader = batch(entries);
    for (let index = 0; index < entries.length; index++) records.add(reader, index);
    records.flush();
  }
  records.finish();
  const counters = {
    messages: 0,
    records: 0,
    octets: 0,
    notSentRecords: () => 0,
    ignored: () => ({ packets: 0, octets: 0 }),
  };
  const session = openSession({ announcement: templates.announcement, announceEveryMs: 1e9, counters });
  const reader = ipfixReader();
  const messages = waiting.flatMap((message) => session.messages(message, 0)).map((m) => reader.read(m));
  return {
    ways: messages
      .flatMap(({ records }) => records.filter(({ template }) => template < 264))
      .map((r) => r.values),
    lengths: messages.map(({ length }) => length),
    counted: waiting.reduce((sum, message) => sum + message.records, 0),
  };
}

const id = {
  bytes: 1,
  packets: 2,
  protocol: 4,
  flags: 6,
  sourcePort: 7,
  four: 8,
  destinationPort: 11,
} as const;
const number = (values: Values, element: number): number => Number(values.get(element) ?? 0n);

/** Sums by way, as text. */
function sums(ways: readonly Values[]): Record<string, { packets: number; bytes: number }> {
  const all: Record<string, { packets: number; bytes: number }> = {};
  const add = (key: string, packets: number, bytes: number): void => {
    if (packets === 0) return;
    const sum = all[key] ?? { packets: 0, bytes: 0 };
    all[key] = { packets: sum.packets + packets, bytes: sum.bytes + bytes };
  };
  for (const way of ways) {
    const at = (four: number, six: number) => way.get(four) ?? way.get(six);
    const from = `${at(8, 27)} ${number(way, 7)}`;
    const to = `${at(12, 28)} ${number(way, 11)}`;
    add(`${way.get(4)} ${from} ${to}`, number(way, id.packets), number(way, id.bytes));
    add(`${way.get(4)} ${to} ${from}`, number(way, -id.packets), number(way, -id.bytes));
  }
  return all;
}

const wayKey = (flow: Flow, from: Flow["source"], to: Flow["source"]): string =>
  `${protocolNumber(flow.protocol)} ${from.ip} ${from.port} ${to.ip} ${to.port}`;

/** What a collector should have of them. */
function expected(
  flows: readonly Flow[],
  isBiflow: boolean,
): Record<string, { packets: number; bytes: number }> {
  const all: Record<string, { packets: number; bytes: number }> = {};
  const add = (key: string, packets: number, bytes: number): void => {
    if (packets === 0) return;
    const sum = all[key] ?? { packets: 0, bytes: 0 };
    all[key] = { packets: sum.packets + packets, bytes: sum.bytes + bytes };
  };
  for (const flow of flows) {
    const { source, destination, translated, packets, bytes } = flow;
    add(wayKey(flow, source, destination), packets.sent, bytes.sent);
    // Alone, the other way is told as it was before its translation was undone.
    const back = isBiflow || translated === null ? { source, destination } : translated;
    add(
      wayKey(flow, { name: null, ...back.destination }, { name: null, ...back.source }),
      packets.received,
      bytes.received,
    );
  }
  return all;
}

test("sums by way are those of the flows, a record each way or one for both", async () => {
  const kept = fc.asyncProperty(
    fc.boolean(),
    fc.nat(),
    fc.integer({ min: 1, max: 60 }),
    async (isBiflow, seed, count) => {
      const flows = mixedFlows(seed, count);
      const { ways, lengths } = exported([flows], { isBiflow });
      expect(sums(ways)).toEqual(expected(flows, isBiflow));
      expect(Math.max(...lengths)).toBeLessThanOrEqual(UDP_MESSAGE_BYTES);
    },
  );
  await fc.assert(kept);
});

const grown = (flow: Flow, factor: number, given: Partial<Flow> = {}): Flow => ({
  ...flow,
  packets: { sent: flow.packets.sent * factor, received: flow.packets.received * factor },
  bytes: { sent: flow.bytes.sent * factor, received: flow.bytes.received * factor },
  ...given,
});

test("counters are those since the record before; a start waits for the next record", () => {
  const flow = testFlow({ state: "active" });
  const { ways } = exported([
    [{ flow, change: "start" }],
    [{ flow: grown(flow, 3), change: "update", earlier: flow }],
    [{ flow: grown(flow, 3), change: "update", earlier: grown(flow, 3) }],
    [{ flow: grown(flow, 4, { state: "ended" }), change: "end", earlier: grown(flow, 3) }],
  ]);
  const told = ways.map((way) => [number(way, id.sourcePort), number(way, id.packets), number(way, 136)]);
  expect(told).toEqual([
    [51_234, 36, 2],
    [443, 183, 2],
    [51_234, 12, 3],
    [443, 61, 3],
  ]);
});

test("a flow that has not ended when the export does is told as cut off", () => {
  const { ways } = exported([[{ flow: testFlow({ state: "active" }), change: "start" }]]);
  expect(ways.map((way) => [number(way, id.packets), number(way, 136)])).toEqual([
    [12, 4],
    [61, 4],
  ]);
});

test("starts without number are sent rather than kept", () => {
  const starts = Array.from({ length: 20_000 }, (_, index) => ({
    flow: testFlow({ id: String(index + 1), state: "active" as const }),
    change: "start" as const,
  }));
  const ends = starts.map(({ flow }) => ({
    flow: grown(flow, 2, { state: "ended" }),
    change: "end" as const,
    earlier: flow,
  }));
  const { ways } = exported([starts, ends], { maxBytes: 65_535 });
  expect(sums(ways)).toEqual(
    expected(
      starts.map(({ flow }) => grown(flow, 2)),
      false,
    ),
  );
  expect(ways.length).toBe(2 * (20_000 + 20_000 - 16_384));
});

test("the largest counters that the kernel could have kept arrive whole", () => {
  const flow = testFlow({
    packets: { sent: 2 ** 40 + 1, received: 1 },
    bytes: { sent: Number.MAX_SAFE_INTEGER, received: 2 ** 32 },
  });
  const [there, back] = exported([[flow]]).ways;
  expect(there?.get(id.packets)).toBe(2n ** 40n + 1n);
  expect(there?.get(id.bytes)).toBe(2n ** 53n - 1n);
  expect(back?.get(id.bytes)).toBe(2n ** 32n);
});

test("times, flags, interfaces, direction and reason are told each way", () => {
  const recorded: Recorded = {
    flow: testFlow(),
    sourceFlags: ["SYN", "FIN"],
    destinationFlags: ["SYN", "FIN", "ACK"],
  };
  const [there, back] = exported([[recorded]]).ways;
  const elements = [152, 153, id.flags, 10, 14, 61, 136, 148];
  expect(elements.map((element) => number(there as Values, element))).toEqual([
    Date.parse("2026-11-22T14:03:22.123Z"),
    Date.parse("2026-11-22T14:03:23.456Z"),
    0x03,
    0,
    2,
    1,
    3,
    1,
  ]);
  expect(elements.slice(2).map((element) => number(back as Values, element))).toEqual([0x13, 2, 0, 0, 3, 1]);
});

test.each<[string, Partial<Flow>, number]>([
  ["udp", { protocol: "udp", tcpFlags: [] }, 1],
  ["tcp without an end", { tcpFlags: ["SYN", "ACK"] }, 1],
  ["tcp reset", { tcpFlags: ["SYN", "RST"] }, 3],
])("why %s ended", (_, given, reason) => {
  expect(exported([[testFlow(given)]]).ways.map((way) => number(way, 136))).toEqual([reason, reason]);
});

test("an echo and its reply have their types, an unreachable its code", () => {
  const echo = testFlow({
    protocol: "icmp",
    source: { ip: "10.0.0.1", port: 0, name: null },
    destination: { ip: "10.0.0.2", port: 0, name: null },
    icmp: { type: 8, code: 0, id: 77 },
  });
  const six = testFlow({
    ...echo,
    protocol: "icmpv6",
    source: { ip: "fe80::1", port: 0, name: null },
    destination: { ip: "fe80::2", port: 0, name: null },
    icmp: { type: 128, code: 0, id: 1 },
  });
  const unreachable = { ...echo, packets: { sent: 1, received: 0 }, icmp: { type: 3, code: 13, id: 0 } };
  const { ways } = exported([[echo, six, unreachable]]);
  expect(ways.map((way) => way.get(32) ?? way.get(139))).toEqual([0x0800n, 0n, 0x8000n, 0x8100n, 0x030dn]);
  expect(ways.every((way) => !way.has(id.sourcePort))).toBe(true);
});

test("a translated flow carries what it became; its replies are told as they came in", () => {
  const flow = testFlow({
    translated: {
      source: { ip: "203.0.113.1", port: 40_000 },
      destination: { ip: "192.0.2.9", port: 443 },
    },
  });
  const [there, back] = exported([[flow]]).ways.map((way) =>
    [8, 7, 12, 11, 225, 227, 226, 228].map((element) => String(way.get(element))),
  );
  expect(there?.join(" ")).toBe("10.0.0.5 51234 192.0.2.9 443 203.0.113.1 40000 192.0.2.9 443");
  expect(back?.join(" ")).toBe("192.0.2.9 443 203.0.113.1 40000 192.0.2.9 443 10.0.0.5 51234");
});

test("a mask leaves only its elements", () => {
  const fields = ["sourceIPv4Address", "octetDeltaCount"];
  expect([...elementNames()]).toEqual(expect.arrayContaining(fields));
  const [there] = exported([[testFlow()]], { fields }).ways;
  expect([...(there as Values)]).toEqual([
    [8, "10.0.0.5"],
    [1, 1234n],
  ]);
  const six = exported([mixedFlows(3, 200)], { fields: ["sourceIPv6Address"] });
  expect(six.ways.length).toBe(six.counted);
  expect(six.ways.every((way) => way.size === 1 && String(way.get(27)).includes(":"))).toBe(true);
});

test("each namespace is an observation domain", () => {
  const flows = [testFlow(), testFlow({ id: "2", netns: 7 })];
  expect(sums(exported([flows]).ways)).toEqual(expected(flows, false));
});
