/** What happens on flows beside their packets: DNS, requests, drops, scans. One shape on every surface. */
import { z } from "zod";
import { applications } from "./application.ts";
import { flowSchema } from "./flow.ts";

const parties = {
  time: z.iso.datetime(),
  flow: z.string().nullable().describe("id of the flow; null where none is known"),
  source: flowSchema.shape.source.describe("of the flow, not of the packet: who opened it"),
  destination: flowSchema.shape.destination,
  protocol: flowSchema.shape.protocol,
  netns: flowSchema.shape.netns,
  process: flowSchema.shape.process,
};

export const dnsEventSchema = z.object({
  kind: z.literal("dns"),
  ...parties,
  name: z
    .string()
    .describe("as asked, lower case, without the last dot, not printable bytes escaped as \\\\DDD"),
  type: z.string().describe("A, AAAA, … or TYPE65280"),
  rcode: z.string().nullable().describe("NOERROR, NXDOMAIN, …; null where no answer came in time"),
  answers: z.array(z.string()).describe("addresses and names of the answer"),
  ttlSeconds: z.number().int().nullable().describe("the smallest of the answers"),
  latencyMs: z.number().nullable(),
});

export const requestEventSchema = z.object({
  kind: z.literal("request"),
  ...parties,
  application: z.enum(applications),
  method: z.string().describe("HTTP method, or the verb of a statement or command"),
  target: z.string().nullable().describe("HTTP path without its query; null for databases"),
  status: z
    .string()
    .nullable()
    .describe("HTTP status, SQLSTATE, MySQL error number, first word of a Redis error"),
  isError: z.boolean(),
  latencyMs: z.number(),
  encrypted: z.boolean().describe("seen inside TLS, by a probe on OpenSSL"),
});

export const dropEventSchema = z.object({
  kind: z.literal("drop"),
  ...parties,
  reason: z.string().describe("as the running kernel names it, without SKB_DROP_REASON_"),
  fromSource: z.boolean().describe("the dropped packet was sent by the source"),
  tcpFlags: flowSchema.shape.tcpFlags,
  bytes: z.number().int(),
  interface: z.string().nullable(),
});

export const scanEventSchema = z.object({
  kind: z.literal("scan"),
  ...parties,
  scan: z
    .enum(["ports", "hosts", "flood"])
    .describe("many ports of one host, one port of many hosts, or many openings of one service at once"),
  count: z.number().int().describe("distinct ports or hosts, or openings, estimated above 100"),
  seconds: z.number().describe("in so much time"),
});

export const flowEventSchema = z.discriminatedUnion("kind", [
  dnsEventSchema,
  requestEventSchema,
  dropEventSchema,
  scanEventSchema,
]);

export type DnsEvent = z.infer<typeof dnsEventSchema>;
export type RequestEvent = z.infer<typeof requestEventSchema>;
export type DropEvent = z.infer<typeof dropEventSchema>;
export type ScanEvent = z.infer<typeof scanEventSchema>;
export type FlowEvent = z.infer<typeof flowEventSchema>;
export type FlowEventKind = FlowEvent["kind"];

/** What all events have in common, taken from their flow. */
export type EventParties = Pick<FlowEvent, keyof typeof parties>;
