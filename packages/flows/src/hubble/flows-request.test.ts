import { byteWriter, seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { readBatch } from "../recording/record.ts";
import { mixedFlows } from "../testing/flows.ts";
import { batchOf } from "../testing/records.ts";
import { encode, type Values } from "./codec.ts";
import { parseFlowsRequest } from "./flows-request.ts";
import { GrpcError } from "./grpc.ts";
import { entriesOf } from "./order.ts";
import { getFlowsRequest } from "./schema.ts";

function bytesOf(request: Values): Buffer {
  const writer = byteWriter();
  encode(writer, getFlowsRequest, request);
  return writer.bytes.subarray(0, writer.length);
}

test("what is asked is what is meant", () => {
  const request = { number: 7, follow: true, since: 1000, until: 2000.5, whitelist: [{ protocol: ["tcp"] }] };
  expect(parseFlowsRequest(bytesOf(request))).toEqual({
    number: 7,
    first: false,
    follow: true,
    sinceMs: 1000,
    untilMs: 2000.5,
    wanted: expect.any(Function),
    mask: undefined,
  });
  expect(parseFlowsRequest(Buffer.alloc(0))).toMatchObject({
    number: 0,
    wanted: undefined,
    sinceMs: undefined,
  });
});

const everyFilter: Values = {
  source_ip: ["10.0.0.0/8", "2001:db8::1"],
  source_pod: ["default/curl"],
  destination_fqdn: ["*.example.org"],
  source_label: ["process in (curl, node),!container"],
  destination_workload: [{ name: "node.service", kind: "Service" }],
  protocol: ["tcp", "dns"],
  destination_port: ["443"],
  event_type: [{ type: 4, match_sub_type: true, sub_type: 10 }],
  tcp_flags: [{ SYN: true }],
  node_name: ["default/edge-*"],
  dns_query: ["^(a|b)*\\.org{1,3}$"],
  http_status_code: ["5+"],
  http_path: ["/api/v\\d+"],
  reply: [true, false],
  drop_reason_desc: [133],
  interface: [{ name: "eth0" }],
};

test("damaged requests are answered with a reason, and what is taken for a filter can be asked", () => {
  const random = seededRandom(3);
  const sound = [
    ...Object.entries(everyFilter).map(([field, values]) => bytesOf({ whitelist: [{ [field]: values }] })),
    bytesOf({ blacklist: [everyFilter], field_mask: { paths: ["source.pod_name", "IP"] } }),
  ];
  const records = readBatch(batchOf(mixedFlows(1, 20).map((flow) => ({ flow, change: "start" as const }))));
  const emitter = { nodeName: "edge-1", version: "", isLocal: () => false };
  const flows = [...entriesOf(records, [], emitter)].map(({ flow }) => flow as Values);
  let refused = 0;
  for (let round = 0; round < 5000; round++) {
    const bytes = Buffer.from(sound[random.below(sound.length)] as Buffer);
    for (let count = random.below(3); count >= 0; count--)
      bytes[random.below(bytes.length)] = random.below(256);
    try {
      const { wanted } = parseFlowsRequest(bytes);
      for (const flow of flows)
        expect(wanted?.(flow)).toSatisfy((is) => is === undefined || typeof is === "boolean");
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(1000);
  expect(refused).toBeLessThan(4900);
});
