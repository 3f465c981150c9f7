/** Flows for tests and benches: one to vary, and seeded ones of every kind. */
import { type Random, seededRandom } from "@x0tta6bl4/core";
import { applications } from "../application.ts";
import type { Flow, FlowProcess } from "../flow.ts";
import { nothingLearned } from "../learned.ts";
import { tcpFlags } from "../protocols.ts";

/** A complete flow: an HTTPS connection of curl, but for what is given. */
export function testFlow(given: Partial<Flow> = {}): Flow {
  return {
    id: "1",
    state: "ended",
    start: "2026-11-22T14:03:22.123Z",
    end: "2026-11-22T14:03:23.456Z",
    source: { ip: "10.0.0.5", port: 51_234, name: null },
    destination: { ip: "192.0.2.9", port: 443, name: "example.org" },
    protocol: "tcp",
    icmp: null,
    direction: "egress",
    place: "local",
    netns: 4_026_531_840,
    interface: "eth0",
    verdict: "forwarded",
    bytes: { sent: 1234, received: 84_512 },
    packets: { sent: 12, received: 61 },
    tcpFlags: ["FIN", "SYN", "PSH", "ACK"],
    cookie: "8193",
    process: testProcess(),
    peerProcess: null,
    ...nothingLearned,
    ...given,
  };
}

export function testProcess(given: Partial<FlowProcess> = {}): FlowProcess {
  return {
    pid: 4711,
    comm: "curl",
    executable: "/usr/bin/curl",
    cgroup: "/user.slice/session-1.scope",
    unit: "session-1.scope",
    container: null,
    ...given,
  };
}

/** Seeded flows of every kind, one a millisecond from `firstMs` on: what surfaces, sinks and stores must tell apart. */
export function mixedFlows(seed: number, count: number, firstMs = Date.UTC(2026, 10, 22)): Flow[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, (_, index) => mixedFlow(random, index, firstMs + index));
}

function mixedFlow(random: Random, index: number, startMs: number): Flow {
  const one = <T>(values: readonly T[]): T => values[random.below(values.length)] as T;
  const sometimes = <T>(value: () => T): T | null => (random.below(4) === 0 ? value() : null);
  const six = random.below(4) === 0;
  const protocol = one(["tcp", "tcp", "tcp", "udp", "udp", six ? "icmpv6" : "icmp", "sctp", "gre"]);
  const isTcp = protocol === "tcp";
  const isIcmp = protocol.startsWith("icmp");
  const hasPorts = !isIcmp && protocol !== "gre";
  const host = (): string =>
    six
      ? `2001:db8::${(1 + random.below(0xffff)).toString(16)}`
      : `10.0.${random.below(8)}.${random.below(256)}`;
  const address = (port: number) => ({ ip: host(), port: hasPorts ? port : 0 });
  const packets = { sent: 1 + random.below(1000), received: random.below(1000) };
  const isActive = random.below(3) === 0;
  const name = one(["curl", "node", "postgres", "sshd"]);
  const process = sometimes(() =>
    testProcess({
      pid: 100 + random.below(5000),
      comm: name,
      executable: `/usr/bin/${name}`,
      cgroup: `/system.slice/${name}.service`,
      unit: `${name}.service`,
      container: sometimes(() => `${random.below(2 ** 32).toString(16)}`.padStart(12, "0")),
    }),
  );
  return testFlow({
    id: String(index + 1),
    state: isActive ? "active" : "ended",
    start: new Date(startMs).toISOString(),
    end: new Date(startMs + random.below(60_000)).toISOString(),
    source: {
      ...address(32_768 + random.below(28_000)),
      name: sometimes(() => `host-${random.below(99)}.lan`),
    },
    destination: {
      ...address(one([22, 53, 80, 443, 5432, 8080])),
      name: sometimes(() => `${one(["api", "db", "www"])}.example.org`),
    },
    protocol,
    icmp: isIcmp
      ? random.below(2) === 0
        ? { type: six ? 128 : 8, code: 0, id: random.below(65_536) }
        : { type: six ? 1 : 3, code: 1, id: 0 }
      : null,
    direction: one(["ingress", "egress"]),
    place: one(["local", "local", "forwarded", "loopback"]),
    netns: one([4_026_531_840, 4_026_532_008]),
    interface: one(["eth0", "wlan0", "lo"]),
    // By number, so that what is drawn for the rest stays as it is.
    verdict: index % 7 === 3 ? "dropped" : index % 7 === 5 ? "audit" : "forwarded",
    rule: index % 7 < 3 ? null : { policy: index % 2 === 0 ? "web" : "team/db", path: "spec.ingress[0]" },
    packets,
    bytes: {
      sent: packets.sent * (40 + random.below(1400)),
      received: packets.received * (40 + random.below(1400)),
    },
    tcpFlags: isTcp ? ["SYN", "PSH", "ACK"].concat(isActive ? [] : ["RST"]).toSorted(byBit) : [],
    cookie: sometimes(() => String(1 + random.below(2 ** 32))),
    process,
    peerProcess: process === null ? null : sometimes(() => testProcess({ pid: 99 })),
    application: isTcp ? sometimes(() => one(applications)) : null,
    tcp: isTcp
      ? sometimes(() => ({
          connectMs: sometimes(() => random.below(200_000) / 1000),
          rttMs: random.below(200_000) / 1000,
          minRttMs: random.below(1000) / 1000,
          retransmits: random.below(5),
        }))
      : null,
    tls: isTcp
      ? sometimes(() => ({
          version: one([null, "1.2", "1.3"]),
          serverName: one([null, "example.org"]),
          encryptedHello: false,
        }))
      : null,
    requests: isTcp
      ? sometimes(() => ({ count: 1 + random.below(99), errors: random.below(2), latencyMs: 1.5 }))
      : null,
    drops: sometimes(() => ({ packets: 1 + random.below(9), reason: one(["NO_SOCKET", "NETFILTER_DROP"]) })),
    translated: hasPorts
      ? sometimes(() => ({ source: address(random.below(65_536)), destination: address(443) }))
      : null,
  });
}

function byBit(a: string, b: string): number {
  return tcpFlags.indexOf(a as "FIN") - tcpFlags.indexOf(b as "FIN");
}
