import { expect, test } from "vitest";
import type { DnsEvent } from "../event.ts";
import { partiesOf } from "../parties.ts";
import { readBatch } from "../recording/record.ts";
import { testFlow, testProcess } from "../testing/flows.ts";
import { batchOf, type Recorded } from "../testing/records.ts";
import { hubbleFieldMask, hubbleJsonLines, hubbleJsonOfEvent } from "./json.ts";

const node = { nodeName: "edge-1", version: "0.1.0" };

const lines = (...records: Recorded[]) => {
  const reader = readBatch(batchOf(records));
  return records.flatMap((_, index) => hubbleJsonLines(reader, index, node).map(parsed));
};
const parsed = (line: string) => JSON.parse(line);
const summaries = (records: readonly Recorded[]) =>
  lines(...records).map(({ flow }) => `${flow.is_reply ? "<" : ">"} ${flow.Summary}`);

const counters = (sent: number, received: number) => ({
  packets: { sent, received },
  bytes: { sent: 60 * sent, received: 60 * received },
});

const ping = (sent: number, received: number) =>
  testFlow({
    protocol: "icmp",
    icmp: { type: 8, code: 0, id: 7 },
    tcpFlags: [],
    state: "active",
    ...counters(sent, received),
  });

test("an opening has Hubble's names, enumerations and times", () => {
  const flow = testFlow({
    state: "active",
    process: testProcess({ unit: "nginx.service", container: "0123456789abcdef0123" }),
    translated: { source: { ip: "198.51.100.7", port: 40_000 }, destination: { ip: "192.0.2.9", port: 443 } },
  });
  expect(lines({ flow })).toEqual([
    {
      flow: {
        time: "2026-11-22T14:03:22.123Z",
        uuid: "01a20391-948b-8001-8000-000000000001",
        emitter: { name: "x0tta6bl4", version: "0.1.0" },
        verdict: "FORWARDED",
        IP: {
          source: "10.0.0.5",
          source_xlated: "198.51.100.7",
          destination: "192.0.2.9",
          ipVersion: "IPv4",
        },
        l4: { TCP: { source_port: 51_234, destination_port: 443, flags: { SYN: true } } },
        source: {
          identity: 1,
          labels: ["reserved:host", "process=curl", "unit=nginx.service", "container=0123456789abcdef0123"],
          pod_name: "0123456789ab",
          workloads: [{ name: "0123456789ab", kind: "Container" }],
        },
        destination: { identity: 2, labels: ["reserved:world"] },
        Type: "L3_L4",
        node_name: "edge-1",
        destination_names: ["example.org"],
        event_type: { type: 4, sub_type: 11 },
        traffic_direction: "EGRESS",
        trace_observation_point: "TO_NETWORK",
        trace_reason: "NEW",
        is_reply: false,
        interface: { name: "eth0" },
        socket_cookie: "8193",
        Summary: "TCP Flags: SYN",
      },
      node_name: "edge-1",
      time: "2026-11-22T14:03:22.123Z",
    },
  ]);
});

test.each<[string, Recorded[], string[]]>([
  [
    "a whole connection",
    [{ flow: testFlow(counters(1, 0)), change: "start", sourceFlags: ["SYN"] }, { flow: testFlow() }],
    ["> TCP Flags: SYN", "< TCP Flags: SYN, ACK", "> TCP Flags: ACK, FIN", "< TCP Flags: ACK, FIN"],
  ],
  [
    "the end of one whose reply was told before",
    [{ flow: testFlow(), earlier: counters(3, 2), destinationFlags: ["SYN", "ACK", "RST"] }],
    ["> TCP Flags: ACK, FIN", "< TCP Flags: ACK, RST"],
  ],
  [
    "an opening of a connection that is older than the agent",
    [{ flow: testFlow({ state: "active" }), sourceFlags: ["PSH", "ACK"] }],
    ["> TCP Flags: ACK, PSH"],
  ],
  [
    "a refused connection: the RST is the reply, told once",
    [{ flow: testFlow(counters(1, 1)), sourceFlags: ["SYN"], destinationFlags: ["RST", "ACK"] }],
    ["< TCP Flags: ACK, RST"],
  ],
  [
    "a sign of life of both sides",
    [{ flow: testFlow({ state: "active" }), change: "update", earlier: counters(3, 2) }],
    ["> TCP Flags: ACK, PSH", "< TCP Flags: ACK, PSH"],
  ],
  [
    "one side silent since",
    [
      {
        flow: testFlow({ state: "active", ...counters(9, 2) }),
        change: "update",
        earlier: counters(3, 2),
      },
    ],
    ["> TCP Flags: ACK, PSH"],
  ],
  [
    "the end of a datagram's flow",
    [{ flow: testFlow({ protocol: "udp", tcpFlags: [] }), earlier: counters(1, 1) }],
    [],
  ],
  [
    "a ping and its answer",
    [
      { flow: ping(1, 0), change: "start" },
      { flow: ping(1, 1), change: "update" },
    ],
    ["> ICMPv4 EchoRequest", "< ICMPv4 EchoReply"],
  ],
])("%s", (_, records, expected) => {
  expect(summaries(records)).toEqual(expected);
});

test("a reply has the sides changed and the time of the connect", () => {
  const tcp = { connectMs: 2.25, rttMs: 2, minRttMs: 2, retransmits: 0 };
  const [reply] = lines({ flow: testFlow({ tcp }) });
  expect(reply.time).toBe("2026-11-22T14:03:22.125250Z");
  expect(reply.flow).toMatchObject({
    IP: { source: "192.0.2.9", destination: "10.0.0.5" },
    l4: { TCP: { source_port: 443, destination_port: 51_234 } },
    source: { identity: 2 },
    destination: { pod_name: "session-1.scope" },
    source_names: ["example.org"],
    traffic_direction: "EGRESS",
    trace_observation_point: "FROM_NETWORK",
  });
});

test("a drop keeps the kernel's reason beside Cilium's nearest", () => {
  const { flow } = parsed(
    hubbleJsonOfEvent(
      {
        kind: "drop",
        ...partiesOf(testFlow(), "2026-11-22T14:03:22.123Z"),
        reason: "NETFILTER_DROP",
        fromSource: false,
        tcpFlags: ["SYN", "ACK"],
        bytes: 60,
        interface: "eth0",
      },
      node,
    ),
  );
  expect(flow).toMatchObject({
    verdict: "DROPPED",
    drop_reason_desc: "POLICY_DENIED",
    event_type: { type: 1, sub_type: 133 },
    IP: { source: "192.0.2.9" },
    is_reply: true,
    Summary: "TCP Flags: SYN, ACK; NETFILTER_DROP",
    extensions: { value: "NETFILTER_DROP" },
  });
});

test("a DNS exchange is a question and an answer", () => {
  const dns: DnsEvent = {
    kind: "dns",
    ...partiesOf(testFlow({ protocol: "udp" }), "2026-11-22T14:03:22.123Z"),
    name: "example.org",
    type: "A",
    rcode: "NXDOMAIN",
    answers: [],
    ttlSeconds: null,
    latencyMs: 23,
  };
  const [query, answer] = hubbleJsonOfEvent(dns, node).split("\n").map(parsed);
  expect(query).toMatchObject({
    time: "2026-11-22T14:03:22.100Z",
    flow: { Type: "L7", l7: { type: "REQUEST", dns: { query: "example.org.", qtypes: ["A"] } } },
  });
  expect(answer.flow).toMatchObject({
    is_reply: true,
    l7: { type: "RESPONSE", latency_ns: "23000000", dns: { rcode: 3 } },
    Summary: "DNS Answer RCode: NXDOMAIN TTL: 0 (Query example.org. A)",
  });
  expect(hubbleJsonOfEvent({ ...dns, rcode: null, latencyMs: null }, node).split("\n")).toHaveLength(1);
});

test("a field mask keeps what it names", () => {
  const fieldMask = hubbleFieldMask(["source.pod_name", "IP.destination", "is_reply", "ethernet"]);
  const [line = ""] = hubbleJsonLines(readBatch(batchOf([testFlow({ state: "active" })])), 0, {
    ...node,
    fieldMask,
  });
  expect(parsed(line)).toEqual({
    flow: { source: { pod_name: "session-1.scope" }, IP: { destination: "192.0.2.9" }, is_reply: false },
    node_name: "edge-1",
    time: "2026-11-22T14:03:22.123Z",
  });
  expect(() => hubbleFieldMask(["source.colour"])).toThrow('Endpoint has no field "colour"');
  expect(() => hubbleFieldMask(["verdict.x"])).toThrow("Flow.verdict has no fields of its own");
});
