/** What a busy host has to do with whom: the kinds of flows of `record-traffic.ts`, and how often each is. */
import type { Random } from "@x0tta6bl4/core";
import { parseAddress } from "../address.ts";
import type { Application } from "../application.ts";
import type { FlowProcess } from "../flow.ts";
import { protocolNumbers } from "../protocols.ts";

export interface Kind {
  /** Relative frequency. */
  readonly weight: number;
  readonly protocol: number;
  readonly port: number;
  readonly application: Application | null;
  readonly isInbound: boolean;
  readonly peers: readonly Peer[];
  readonly process: readonly FlowProcess[];
  /** A fresh process each time, as curl or a connection's own backend. */
  readonly forks?: boolean;
  /** Medians; what is drawn spreads about them log-normally. */
  readonly sent: number;
  readonly received: number;
  readonly durationMs: number;
  /** Standard deviation of the logarithm. */
  readonly spread: number;
  readonly answered: boolean;
}

export interface Peer {
  readonly address: Uint32Array;
  readonly name: number;
  readonly rttUs: number;
}

/** Drawn anew for each flow. */
export const ANY_PORT = -1;
/** The last word of 127.0.0.1. */
export const LOOPBACK_WORD = 0x0100_007f;
/** The third word of IPv4 addresses. */
export const MAPPED_WORD = 0xffff_0000;

export function words(ip: string): Uint32Array {
  const bytes = parseAddress(ip);
  if (bytes === undefined) throw new Error(`${ip} is no address`);
  return new Uint32Array(bytes.buffer.slice(0));
}

export function hostKinds(random: Random, string: (text: string) => number): readonly Kind[] {
  const octet = (): number => 1 + random.below(254);
  const peer = (ip: string, name: string | null, rttUs: number): Peer => ({
    address: words(ip),
    name: name === null ? 0 : string(name),
    rttUs,
  });
  const clients = Array.from({ length: 20_000 }, (_, index) =>
    peer(
      index % 8 === 0
        ? `2001:db8:${random.below(65_536).toString(16)}::${random.below(65_536).toString(16)}`
        : `${20 + random.below(180)}.${octet()}.${octet()}.${octet()}`,
      null,
      5000 + random.below(150_000),
    ),
  );
  const sites = Array.from({ length: 400 }, (_, index) =>
    peer(
      `203.0.${index % 100}.${octet()}`,
      `api${index}.service-${index % 37}.example`,
      2000 + random.below(60_000),
    ),
  );
  const near = (count: number, net: string, name: string): Peer[] =>
    Array.from({ length: count }, (_, index) =>
      peer(`${net}.${10 + index}`, `${name}-${index}.internal.example`, 150 + random.below(400)),
    );
  const loopback = [peer("127.0.0.1", "localhost", 30)];
  const process = (comm: string, count: number, unit: string | null, container: string | null = null) =>
    Array.from({ length: count }, (_, index): FlowProcess => {
      const scope = container === null ? `system.slice/${unit}` : `system.slice/docker-${container}.scope`;
      return {
        pid: 700 + random.below(9000) + index,
        comm,
        executable: `/usr/sbin/${comm}`,
        cgroup: scope,
        unit,
        container,
      };
    });
  const nginx = process("nginx", 8, "nginx.service");
  const app = process("node", 12, null, "3f4e9d1c8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d");
  const { tcp, udp, icmp } = protocolNumbers;
  const base = { answered: true, isInbound: false, application: null, protocol: tcp } as const;
  return [
    {
      ...base,
      weight: 34,
      port: 443,
      application: "tls",
      isInbound: true,
      peers: clients,
      process: nginx,
      sent: 900,
      received: 9000,
      durationMs: 900,
      spread: 1.4,
    },
    {
      ...base,
      weight: 6,
      port: 80,
      application: "http",
      isInbound: true,
      peers: clients,
      process: nginx,
      sent: 400,
      received: 600,
      durationMs: 80,
      spread: 0.8,
    },
    {
      ...base,
      weight: 18,
      port: 53,
      protocol: udp,
      application: "dns",
      peers: near(2, "10.0.0", "resolver"),
      process: process("systemd-resolve", 1, "systemd-resolved.service"),
      sent: 45,
      received: 130,
      durationMs: 3,
      spread: 1,
    },
    {
      ...base,
      weight: 12,
      port: 443,
      application: "tls",
      peers: sites,
      process: app,
      sent: 1500,
      received: 5000,
      durationMs: 400,
      spread: 1.2,
    },
    {
      ...base,
      weight: 4,
      port: 443,
      application: "tls",
      peers: sites,
      process: process("curl", 1, "cron.service"),
      forks: true,
      sent: 600,
      received: 4000,
      durationMs: 200,
      spread: 0.7,
    },
    {
      ...base,
      weight: 8,
      port: 5432,
      application: "postgresql",
      peers: near(3, "10.0.1", "db"),
      process: app,
      sent: 3000,
      received: 12_000,
      durationMs: 9000,
      spread: 1.5,
    },
    {
      ...base,
      weight: 6,
      port: 6379,
      application: "redis",
      peers: loopback,
      process: app,
      sent: 300,
      received: 200,
      durationMs: 20,
      spread: 1,
    },
    {
      ...base,
      weight: 3,
      port: 9100,
      isInbound: true,
      peers: near(2, "10.0.3", "prometheus"),
      process: process("node_exporter", 1, "node_exporter.service"),
      sent: 300,
      received: 30_000,
      durationMs: 60,
      spread: 0.2,
    },
    {
      ...base,
      weight: 2,
      port: 0,
      protocol: icmp,
      isInbound: true,
      peers: near(4, "10.0.4", "monitor"),
      process: [],
      sent: 56,
      received: 56,
      durationMs: 1,
      spread: 0.3,
    },
    {
      ...base,
      weight: 0.05,
      port: 22,
      isInbound: true,
      peers: near(20, "10.0.5", "admin"),
      process: process("sshd", 1, "ssh.service"),
      forks: true,
      sent: 20_000,
      received: 90_000,
      durationMs: 600_000,
      spread: 1.5,
    },
    {
      ...base,
      weight: 7,
      port: ANY_PORT,
      isInbound: true,
      peers: clients,
      process: [],
      sent: 0,
      received: 0,
      durationMs: 0,
      spread: 0,
      answered: false,
    },
  ];
}
