import { hubbleMetrics } from "@x0tta6bl4/telemetry";
import { expect, test } from "vitest";
import type { FlowEvent } from "../event.ts";
import { partiesOf } from "../parties.ts";
import { readBatch } from "../recording/record.ts";
import type { Sample } from "../recording/sink.ts";
import { mixedFlows, testFlow, testProcess } from "../testing/flows.ts";
import { batchOf, type Recorded } from "../testing/records.ts";
import { type Emitter, flowOfSighting, SIGHTINGS, sightingsOf } from "./from-record.ts";
import { createHandler } from "./metric-handlers.ts";
import { parseMetricChoices } from "./metric-options.ts";
import { MAX_SERIES } from "./metric-series.ts";
import { createHubbleMetrics } from "./metrics.ts";

const emitter: Emitter = { nodeName: "edge-1", version: "0.1.0", isLocal: (ip) => ip === "10.0.0.5" };
const time = "2026-11-22T14:03:22.123Z";
const defaults = ["dns", "drop", "flow", "icmp", "port-distribution", "tcp"];

const whole: Recorded[] = [{ flow: testFlow(), change: "start" }, { flow: testFlow() }];

function counted(
  choices: readonly string[],
  records: readonly Recorded[],
  events: readonly FlowEvent[] = [],
) {
  const metrics = createHubbleMetrics(parseMetricChoices(choices), emitter);
  metrics.take(readBatch(batchOf(records)), events);
  return { metrics, text: textOf(metrics.samples()) };
}

/** As an exposition has it, without the prefix. */
function textOf(samples: readonly Sample[]): string[] {
  return samples
    .map(({ metric, labels, value }) => {
      const pairs = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
      return `${metric.name.slice("hubble_".length)}{${pairs.join(",")}} ${value}`;
    })
    .toSorted();
}

test("a connection, with the list that is the default", () => {
  expect(counted(defaults, whole).text).toEqual([
    'flows_processed_total{protocol="TCP",type="Trace",subtype="from-network",verdict="FORWARDED"} 2',
    'flows_processed_total{protocol="TCP",type="Trace",subtype="to-network",verdict="FORWARDED"} 2',
    'port_distribution_total{protocol="TCP",port="443"} 2',
    'tcp_flags_total{flag="FIN",family="IPv4"} 2',
    'tcp_flags_total{flag="SYN",family="IPv4"} 1',
    'tcp_flags_total{flag="SYN-ACK",family="IPv4"} 1',
  ]);
});

test("pings, drops and DNS", () => {
  const ping = testFlow({ protocol: "icmp", icmp: { type: 8, code: 0, id: 1 }, tcpFlags: [] });
  const dns: FlowEvent = {
    kind: "dns",
    ...partiesOf(testFlow({ protocol: "udp" }), time),
    name: "www.example.org",
    type: "A",
    rcode: "NOERROR",
    answers: ["web.example.org", "192.0.2.1", "192.0.2.2"],
    ttlSeconds: 60,
    latencyMs: 1,
  };
  const drop: FlowEvent = {
    kind: "drop",
    ...partiesOf(testFlow(), time),
    reason: "NO_SOCKET",
    fromSource: true,
    tcpFlags: ["SYN"],
    bytes: 60,
    interface: null,
  };
  const events = [
    dns,
    { ...dns, rcode: "NXDOMAIN", answers: [] },
    { ...dns, type: "AAAA", rcode: null },
    drop,
    drop,
  ];
  const { text } = counted(
    ["dns:query", "drop", "icmp"],
    [{ flow: ping, change: "start" }, { flow: ping }],
    events,
  );
  expect(text).toEqual([
    'dns_queries_total{rcode="",qtypes="A",ips_returned="0",query="www.example.org."} 2',
    'dns_queries_total{rcode="",qtypes="AAAA",ips_returned="0",query="www.example.org."} 1',
    'dns_response_types_total{type="A",qtypes="A",query="www.example.org."} 2',
    'dns_response_types_total{type="CNAME",qtypes="A",query="www.example.org."} 1',
    'dns_responses_total{rcode="No Error",qtypes="A",ips_returned="2",query="www.example.org."} 1',
    'dns_responses_total{rcode="Non-Existent Domain",qtypes="A",ips_returned="0",query="www.example.org."} 1',
    'drop_total{reason="SOCKET_LOOKUP_FAILED",protocol="TCP"} 2',
    'icmp_total{family="IPv4",type="EchoReply"} 1',
    'icmp_total{family="IPv4",type="EchoRequest"} 1',
  ]);
  expect(counted(["dns:ignoreAAAA"], [], events).text.join()).not.toContain("AAAA");
});

test("verdicts of policies: of connections that a rule or a default decided about", () => {
  const rule = { policy: "default/web", path: "spec.ingress[0]" };
  const ingress = { direction: "ingress", verdict: "forwarded", rule } as const;
  const allowed = testFlow(ingress);
  const dropped = testFlow({ ...ingress, verdict: "dropped", rule: { ...rule, path: "spec.ingress" } });
  const audited = testFlow({ direction: "egress", verdict: "audit", rule: { ...rule, path: "spec.egress" } });
  const records: Recorded[] = [
    { flow: allowed, change: "start", match: "l3-l4" },
    { flow: allowed, match: "l3-l4" },
    { flow: dropped, change: "start", match: "none" },
    { flow: audited, change: "start", match: "none" },
    // What no policy has a say in.
    ...whole,
  ];
  const expected = [
    'policy_verdicts_total{direction="egress",match="none",action="audit"} 1',
    'policy_verdicts_total{direction="ingress",match="l3-l4",action="forwarded"} 1',
    'policy_verdicts_total{direction="ingress",match="none",action="dropped"} 1',
  ];
  expect(counted(["policy"], records).text).toEqual(expected);
  // Beside one that counts replies too.
  const both = counted(["policy", "flow:sourceContext=ip"], records).text;
  expect(both.filter((line) => line.startsWith("policy"))).toEqual(expected);
});

test("labels of both ends, the first that applies", () => {
  const process = testProcess({ comm: "curl", unit: null });
  const records = [
    ...whole,
    {
      flow: testFlow({ process, destination: { ip: "192.0.2.7", port: 53, name: null } }),
      change: "start" as const,
    },
  ];
  const { text } = counted(
    [
      "port-distribution:sourceContext=workload|process;destinationContext=dns|ip;labelsContext=source_ip,traffic_direction",
    ],
    records,
  );
  const labels = 'source_ip="10.0.0.5",traffic_direction="egress"';
  expect(text).toEqual([
    `port_distribution_total{protocol="TCP",port="443",${labels},source="session-1.scope",destination="example.org"} 2`,
    `port_distribution_total{protocol="TCP",port="53",${labels},source="curl",destination="192.0.2.7"} 1`,
  ]);
  const { text: ways } = counted(
    ["tcp:sourceEgressContext=ip;sourceIngressContext=identity"],
    whole.slice(0, 1),
  );
  expect(ways).toEqual(['tcp_flags_total{flag="SYN",family="IPv4",source="10.0.0.5"} 1']);
});

test("flows to the world, by the options of that metric", () => {
  const drop: FlowEvent = {
    kind: "drop",
    ...partiesOf(testFlow(), time),
    reason: "NO_SOCKET",
    fromSource: true,
    tcpFlags: ["SYN"],
    bytes: 60,
    interface: null,
  };
  const served = { flow: testFlow({ direction: "ingress" }), change: "start" as const };
  const count = (choice: string) => counted([choice], [...whole, served], [drop]).text;
  expect(count("flows-to-world")).toEqual(['flows_to_world_total{protocol="TCP",verdict="FORWARDED"} 2']);
  expect(count("flows-to-world:any-drop;port;syn-only")).toEqual([
    'flows_to_world_total{protocol="TCP",verdict="DROPPED",port="443"} 1',
    'flows_to_world_total{protocol="TCP",verdict="FORWARDED",port="443"} 1',
  ]);
});

test("requests over HTTP, both versions of the metric", () => {
  const request: FlowEvent = {
    kind: "request",
    ...partiesOf(testFlow(), time),
    application: "http",
    method: "GET",
    target: "/",
    status: "503",
    isError: true,
    latencyMs: 250,
    encrypted: false,
  };
  const second = counted(["httpV2:labelsContext=source_workload,destination_ip"], [], [request]);
  const ends = 'source_workload="session-1.scope",destination_ip="192.0.2.9"';
  expect(second.text).toEqual([
    `http_requests_total{method="GET",protocol="",reporter="client",status="503",${ends}} 1`,
  ]);
  expect(second.metrics.observations()).toMatchObject([
    {
      metric: { name: hubbleMetrics.httpDuration.name },
      labels: { method: "GET", reporter: "client", source_workload: "session-1.scope" },
      value: 0.25,
    },
  ]);
  expect(second.metrics.observations()).toEqual([]);
  expect(counted(["http"], [], [request]).text).toEqual([
    'http_requests_total{method="GET",protocol="",reporter="client"} 1',
    'http_responses_total{method="GET",protocol="",status="503",reporter="client"} 1',
  ]);
});

const flagSets = [["SYN"], ["SYN", "ACK", "FIN"], ["ACK", "RST"], ["ACK", "PSH"], ["FIN", "ACK", "ECE"]];

test("flows of one shape count as each of them would by itself", () => {
  const choices = parseMetricChoices([...defaults, "flows-to-world:port;syn-only"]);
  const records = readBatch(
    batchOf(
      mixedFlows(11, 2000).flatMap((flow, index): Recorded[] => {
        const isTcp = flow.protocol === "tcp";
        const sourceFlags = isTcp ? (flagSets[index % 5] ?? []) : [];
        const destinationFlags = isTcp ? (flagSets[index % 3] ?? []) : [];
        const change = flow.state === "ended" ? "end" : "update";
        return [
          { flow, change: "start", sourceFlags, destinationFlags },
          { flow, change, sourceFlags, destinationFlags },
        ];
      }),
    ),
  );
  const metrics = createHubbleMetrics(choices, emitter);
  // The second time, all shapes are known.
  metrics.take(records, []);
  metrics.take(records, []);
  const handlers = choices.map(createHandler);
  for (let turn = 0; turn < 2; turn++)
    for (let index = 0; index < records.batch.count; index++)
      for (let part = 0; part < SIGHTINGS; part++)
        if (sightingsOf(records.words, records.doubles, index) & (1 << part)) {
          const flow = flowOfSighting(records, index, 1 << part, emitter);
          for (const handler of handlers) for (const count of handler.counts(flow)) count.value++;
        }
  const expected = handlers.flatMap(({ series }) => series).flatMap((series) => series.samples());
  expect(textOf(metrics.samples())).toEqual(textOf(expected));
});

test("what is lost is counted by where", () => {
  const metrics = createHubbleMetrics([], emitter);
  metrics.take(readBatch(batchOf([], { lostEvents: 3, lostPackets: 40 })), []);
  metrics.take(readBatch(batchOf([], { lostEvents: 2 })), []);
  metrics.lost("HUBBLE_RING_BUFFER", 7);
  expect(textOf(metrics.samples())).toEqual([
    'lost_events_total{source="hubble_ring_buffer"} 7',
    'lost_events_total{source="observer_events_queue"} 40',
    'lost_events_total{source="perf_event_ring_buffer"} 5',
  ]);
});

test("series are bounded, and it is said where the rest went", () => {
  const flows = Array.from({ length: 3000 }, (_, port) => ({
    flow: testFlow({ destination: { ip: "192.0.2.9", port: port + 1, name: null } }),
    change: "start" as const,
  }));
  const { metrics, text } = counted(["port-distribution", "tcp"], flows);
  expect(text.filter((line) => line.startsWith("port_distribution"))).toHaveLength(MAX_SERIES + 1);
  expect(text).toContain('port_distribution_total{protocol="other",port="other"} 2000');
  expect(metrics.overflowing()).toEqual(["hubble_port_distribution_total"]);
});

test.each<[readonly string[], RegExp]>([
  [["cheese"], /cheese is none of dns, drop/],
  [["sctp"], /sctp is not counted here/],
  [["tcp", "tcp"], /tcp is there twice/],
  [["http", "httpV2"], /choose one/],
  [["tcp:colour=red"], /has no option "colour"/],
  [["tcp:port"], /has no option "port"/],
  [["flow:sourceContext=mood"], /has no context "mood": there are identity/],
  [["flow:labelsContext=source_mood"], /has no label "source_mood"/],
])("%j is refused", (choices, reason) => {
  expect(() => parseMetricChoices(choices)).toThrow(
    expect.objectContaining({ code: "X0_FLOWS_HUBBLE_METRICS", message: expect.stringMatching(reason) }),
  );
});
