/** Hubble's own filters judge ours in `conformance/hubble.ts`; here what must hold without its command. */
import { expect, test } from "vitest";
import type { FlowEvent } from "../event.ts";
import { partiesOf } from "../parties.ts";
import { readBatch } from "../recording/record.ts";
import { testFlow, testProcess } from "../testing/flows.ts";
import { batchOf } from "../testing/records.ts";
import type { Values } from "./codec.ts";
import { compileFilters, RefusedFilter } from "./filter.ts";
import type { Emitter } from "./from-record.ts";
import { entriesOf } from "./order.ts";
import { filterMessage } from "./schema.ts";

const emitter: Emitter = { nodeName: "edge-1", version: "0.1.0", isLocal: (ip) => ip === "10.0.0.5" };
const time = "2026-11-22T14:03:22.123Z";
const nginx = testProcess({ comm: "nginx", unit: "nginx.service", container: "0123456789abcdef" });

/** By name: what a filter lets pass is told by these. */
const flows: Readonly<Record<string, Values>> = {
  ...named(
    ["open", "reply", "fin", "fin-reply"],
    flowsOf([{ flow: testFlow(), change: "start" }, { flow: testFlow() }]),
  ),
  ...named(
    ["served"],
    flowsOf([
      {
        flow: testFlow({
          id: "2",
          direction: "ingress",
          source: { ip: "2001:db8::7", port: 40_000, name: "host-7.lan" },
          destination: { ip: "2001:db8::1", port: 8080, name: null },
          process: nginx,
          interface: "wlan0",
          translated: {
            source: { ip: "2001:db8::99", port: 1 },
            destination: { ip: "2001:db8::1", port: 80 },
          },
        }),
        change: "start",
      },
    ]),
  ),
  ...named(
    ["ping"],
    flowsOf([
      { flow: testFlow({ id: "3", protocol: "icmp", icmp: { type: 8, code: 0, id: 1 } }), change: "start" },
    ]),
  ),
  ...named(
    ["query", "answer"],
    eventFlows({
      kind: "dns",
      ...partiesOf(testFlow({ protocol: "udp" }), time),
      name: "www.example.org",
      type: "A",
      rcode: "NOERROR",
      answers: ["192.0.2.1"],
      ttlSeconds: 60,
      latencyMs: 1,
    }),
  ),
  ...named(
    ["get", "missing"],
    eventFlows({
      kind: "request",
      ...partiesOf(testFlow(), time),
      application: "http",
      method: "GET",
      target: "/api/v2/users",
      status: "404",
      isError: false,
      latencyMs: 1,
      encrypted: false,
    }),
  ),
  ...named(
    ["drop"],
    eventFlows({
      kind: "drop",
      ...partiesOf(testFlow(), time),
      reason: "NETFILTER_DROP",
      fromSource: true,
      tcpFlags: ["SYN"],
      bytes: 60,
      interface: null,
    }),
  ),
};

function flowsOf(records: Parameters<typeof batchOf>[0], events: readonly FlowEvent[] = []): Values[] {
  return [...entriesOf(readBatch(batchOf(records)), events, emitter)].map(({ flow }) => flow as Values);
}

function eventFlows(event: FlowEvent): Values[] {
  return flowsOf([], [event]);
}

function named(names: readonly string[], values: readonly Values[]): Record<string, Values> {
  expect(values).toHaveLength(names.length);
  return Object.fromEntries(names.map((name, index) => [name, values[index] as Values]));
}

const everything = Object.keys(flows);
const but = (...names: readonly string[]): string[] => everything.filter((name) => !names.includes(name));

test.each<[Values, string[]]>([
  [{}, everything],
  [{ source_ip: ["10.0.0.0/8"] }, but("reply", "fin-reply", "served", "answer", "missing")],
  [{ destination_ip: ["2001:db8::/64"] }, ["served"]],
  [{ source_ip_xlated: ["2001:db8::99"] }, ["served"]],
  [{ source_pod: ["session-"] }, but("reply", "fin-reply", "served", "answer", "missing")],
  [{ source_pod: ["default/session-1.scope"] }, but("reply", "fin-reply", "served", "answer", "missing")],
  [{ source_pod: ["kube-system/session-1.scope"] }, []],
  [{ destination_pod: ["/0123456789ab"] }, ["served"]],
  [{ destination_workload: [{ kind: "Container" }] }, ["served"]],
  [{ destination_workload: [{ name: "nginx" }] }, []],
  [{ source_fqdn: ["host-*"] }, ["served"]],
  [{ destination_fqdn: ["EXAMPLE.org."], reply: [false] }, ["open", "fin", "ping", "query", "get", "drop"]],
  [{ destination_label: ["process=nginx,unit"] }, ["served"]],
  [{ source_identity: [2], protocol: ["tcp"] }, ["reply", "fin-reply", "served", "missing"]],
  [{ destination_port: ["8080"] }, ["served"]],
  [{ source_port: ["443", "40000"] }, ["reply", "fin-reply", "served", "answer", "missing"]],
  [{ verdict: [2] }, ["drop"]],
  [{ drop_reason_desc: [133] }, ["drop"]],
  [{ drop_reason_desc: [0] }, []],
  [{ event_type: [{ type: 1 }, { type: 129 }] }, ["query", "answer", "get", "missing", "drop"]],
  [{ event_type: [{ type: 4, match_sub_type: true, sub_type: 10 }] }, ["reply", "fin-reply", "served"]],
  [{ protocol: ["ICMP"] }, ["ping"]],
  [{ protocol: ["dns", "http"] }, ["query", "answer", "get", "missing"]],
  [{ reply: [true] }, ["reply", "fin-reply", "answer", "missing"]],
  [{ tcp_flags: [{ SYN: true, ACK: true }, { FIN: true }] }, ["reply", "fin", "fin-reply"]],
  [{ traffic_direction: [1] }, ["served"]],
  [{ ip_version: [2] }, ["served"]],
  [{ interface: [{ name: "wlan0" }] }, ["served"]],
  [{ interface: [{ index: 3 }] }, []],
  [{ node_name: ["edge-*"] }, everything],
  [{ node_name: ["default/"] }, everything],
  [{ node_name: ["eu/edge-1", "other"] }, []],
  [{ dns_query: ["^www\\."] }, ["query", "answer"]],
  [{ http_status_code: ["4+"] }, ["missing"]],
  [{ http_method: ["get"] }, ["get", "missing"]],
  [{ http_path: ["^/api/v\\d/users$"] }, ["get", "missing"]],
  [{ uuid: [flows["ping"]?.["uuid"]] }, ["ping"]],
  [{ protocol: ["tcp"], destination_port: ["443"], reply: [false] }, ["open", "fin", "get", "drop"]],
])("%j", (filter, expected) => {
  const pass = compileFilters([filter], []);
  expect(everything.filter((name) => pass?.(flows[name] as Values))).toEqual(expected);
  const fail = compileFilters([], [filter]);
  expect(everything.filter((name) => fail?.(flows[name] as Values))).toEqual(but(...expected));
});

test("each field of FlowFilter has a meaning or is refused by its name", () => {
  const samples: Readonly<Record<string, unknown>> = {
    string: "1",
    bool: true,
    uint32: 1,
    uint64: 1,
  };
  let refused = 0;
  for (const { name, type } of filterMessage.fields) {
    const sample = typeof type === "string" ? samples[type] : "enumeration" in type ? 1 : {};
    const value = { ip: "10.0.0.1", protocol: "tcp", http_status_code: "200" }[
      name.includes("_ip") ? "ip" : (name as "protocol")
    ];
    try {
      expect(compileFilters([{ [name]: [value ?? sample] }], [])).toBeTypeOf("function");
    } catch (error) {
      expect(error).toBeInstanceOf(RefusedFilter);
      expect((error as RefusedFilter).message).toContain(`FlowFilter.${name}: `);
      expect((error as RefusedFilter).reason).toBe("unsupported");
      refused++;
    }
  }
  expect(refused).toBe(10);
});
