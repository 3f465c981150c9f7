/**
 * A flow as every surface of the product shows it: HTTP, server-sent events, `-o json`, replay.
 * One connection in one network namespace; `source` is the side that opened it.
 */
import { z } from "zod";
import { applications } from "./application.ts";
import { verdicts } from "./verdicts.ts";

const address = z.object({
  ip: z.string().describe("IPv4 or IPv6 address"),
  port: z.number().int().describe("TCP or UDP port; 0 for other protocols"),
});

const endpoint = address.extend({
  name: z.string().nullable().describe("learned from an answer of DNS that this host asked for"),
});

const counters = z.object({
  sent: z.number().int().describe("source to destination"),
  received: z.number().int().describe("destination to source"),
});

const processSchema = z
  .object({
    pid: z.number().int(),
    comm: z.string().describe("the name that the process shows, or that of its executable"),
    executable: z.string().nullable().describe("path, or only the file name where /proc may not be read"),
    cgroup: z.string().nullable().describe("path below the cgroup v2 root"),
    unit: z.string().nullable().describe("systemd unit, from the cgroup"),
    container: z.string().nullable().describe("container id, from the cgroup"),
  })
  .nullable();

export const flowSchema = z.object({
  id: z.string().describe("unique, also among flows of earlier runs of the agent"),
  state: z.enum(["active", "ended"]),
  start: z.iso.datetime(),
  end: z.iso.datetime().describe("time of the latest packet"),
  source: endpoint.describe("the side that opened the flow"),
  destination: endpoint,
  protocol: z.string().describe("tcp, udp, icmp, icmpv6, sctp, … or the protocol number"),
  icmp: z
    .object({ type: z.number().int(), code: z.number().int(), id: z.number().int() })
    .nullable()
    .describe("of the first packet; id for echo only, else 0"),
  direction: z
    .enum(["ingress", "egress"])
    .describe("of what the source sends: egress where this host opened the flow"),
  place: z.enum(["local", "forwarded", "loopback"]),
  netns: z.number().int().describe("inode of the network namespace, as lsns -t net prints it; 0 in a replay"),
  interface: z.string().describe("where the first packet was counted"),
  verdict: z
    .enum(verdicts)
    .describe("dropped where a policy denies it; audit where one would, were it not in audit"),
  rule: z
    .object({
      policy: z.string().describe("name of the policy; empty for what stays reachable whatever policies say"),
      path: z.string().describe("of the rule in it, or of the section that turned on default deny"),
    })
    .nullable()
    .describe("what decided; null where no policy has a say"),
  bytes: counters.describe("layer-3 bytes on the wire"),
  packets: counters,
  tcpFlags: z.array(z.string()).describe("all TCP flags seen, in the order FIN SYN RST PSH ACK URG ECE CWR"),
  cookie: z
    .string()
    .nullable()
    .describe("the kernel's socket cookie (SO_COOKIE) of the process's socket, decimal"),
  process: processSchema.describe("of the source, else of the local end"),
  peerProcess: processSchema.describe("of the destination where both ends are local"),
  translated: z
    .object({ source: address, destination: address })
    .nullable()
    .describe("what address translation made of it, from conntrack"),
  application: z.enum(applications).nullable().describe("recognised from the first bytes, or by its port"),
  tcp: z
    .object({
      connectMs: z.number().nullable().describe("from SYN to established, where this host opened it"),
      rttMs: z.number().nullable().describe("smoothed round-trip time, as the kernel last had it"),
      minRttMs: z.number().nullable(),
      retransmits: z.number().int().describe("segments that this host sent again"),
    })
    .nullable()
    .describe("from the socket of this host"),
  tls: z
    .object({
      version: z.string().nullable().describe("1.0 to 1.3, as the server chose; null before its answer"),
      serverName: z.string().nullable().describe("SNI; the outer one where the inner is encrypted"),
      encryptedHello: z.boolean().describe("the ClientHello carries ECH"),
    })
    .nullable(),
  requests: z
    .object({
      count: z.number().int(),
      errors: z.number().int().describe("HTTP 5xx, and error answers of databases"),
      latencyMs: z.number().nullable().describe("of the latest, from its first byte to the answer's first"),
    })
    .nullable()
    .describe("on ports of flows.request_ports"),
  drops: z
    .object({
      packets: z.number().int(),
      reason: z.string().describe("of the latest, as the kernel names it"),
    })
    .nullable()
    .describe("packets that the kernel dropped"),
});

export type Flow = z.infer<typeof flowSchema>;
export type FlowProcess = NonNullable<Flow["process"]>;

export const flowListSchema = z.object({
  flows: z.array(flowSchema).describe("newest first"),
  next: z.string().nullable().describe("pass it as `after` to read on; null at the end"),
  covers: z.object({
    from: z.iso.datetime(),
    to: z.iso.datetime(),
    lostPackets: z.number().int().describe("counted by the kernel but in no flow any more"),
    lostEvents: z.number().int().optional().describe("starts and ends of flows that found no room"),
    gaps: z
      .array(z.object({ from: z.iso.datetime(), to: z.iso.datetime(), reason: z.string() }))
      .optional()
      .describe("where something is missing, and why; oldest first"),
  }),
});

export type FlowList = z.infer<typeof flowListSchema>;

/** The filters of `GET /api/v1/flows`, `x0 flows observe` and the console. All must match; filters come before limits. */
export const flowQuerySchema = z.object({
  ip: z.string().optional().describe("address or prefix (10.0.0.0/8) of either side"),
  port: z.coerce.number().int().min(0).max(65535).optional().describe("port of either side"),
  protocol: z.string().optional().describe("tcp, udp, icmp, icmpv6 or a number"),
  process: z.string().optional().describe("name, executable or pid of either process"),
  unit: z.string().optional().describe("systemd unit of either process"),
  container: z
    .string()
    .optional()
    .describe("container of either process: its id, or 12 digits of it or more"),
  name: z
    .string()
    .optional()
    .describe("name of either side, or the TLS server's; *.example.org for all below"),
  dropped: z.enum(["true", "false"]).optional().describe("only flows with packets that the kernel dropped"),
  verdict: z.enum(verdicts).optional().describe("only flows that policy decided so about"),
  id: z.string().optional().describe("only this flow"),
  since: z.string().optional().describe("15m, 2h or an ISO 8601 time; flows with a packet since then"),
  until: z.string().optional().describe("likewise; flows that began before then"),
  last: z.coerce.number().int().min(1).max(100_000).optional().describe("only the newest so many"),
  limit: z.coerce.number().int().min(1).max(10_000).default(100).describe("most flows in one answer"),
  after: z.string().optional().describe("`next` of the answer before"),
});

export type FlowQuery = z.infer<typeof flowQuerySchema>;

/** One event of the live stream. `start` once, `update` at most once a second while it changes, `end` once. */
export const flowChangeSchema = z.object({ change: z.enum(["start", "update", "end"]), flow: flowSchema });

export type FlowChange = z.infer<typeof flowChangeSchema>;
