/**
 * Requests inside TLS, as the probes on OpenSSL tell them, and the flows that they went over. They are joined once a
 * second, all with one walk over the flows: a service with a connection for each request would cost a walk each.
 */
import { type Feature, messageOf, X0Error } from "@x0tta6bl4/core";
import type { FlowEvent } from "../event.ts";
import type { Flow } from "../flow.ts";
import type { Libc } from "../kernel/libc.ts";
import type { OpensslExchange } from "../openssl/exchanges.ts";
import { flowOfExchange, type JoinableFlow } from "../openssl/join.ts";
import { type Openssl, openOpenssl } from "../openssl/openssl.ts";
import { partiesOf } from "../parties.ts";
import type { InsightSums } from "./insight-sums.ts";
import type { LearnedStore } from "./learned-store.ts";

const DISCOVER_MS = 5000;
/** Of a second; beyond them only sums are kept. */
const MOST_WAITING = 10_000;

export interface Encrypted {
  /** Reads the ring. */
  read(): void;
  /** Finds processes that came, and joins what was read with flows. About once a second. */
  join(nowMs: number): void;
  features(): readonly Feature[];
  close(): void;
}

export interface EncryptedOptions {
  readonly services: readonly string[];
  /** The active flows of some processes. */
  readonly flowsOf: (pids: ReadonlySet<number>) => Iterable<JoinableFlow>;
  readonly slotOf: (id: number) => number;
  readonly flow: (slot: number) => Flow;
  readonly learned: LearnedStore;
  readonly sums: InsightSums;
  readonly wallMs: (monotonicNs: number) => number;
  readonly emit: (event: FlowEvent) => void;
  readonly wantsRequests: () => boolean;
}

const nothing: Encrypted = { read() {}, join() {}, features: () => [], close() {} };

/** Where the kernel has no uprobes, the feature says so and nothing else changes. */
export function openEncrypted(libc: Libc, options: EncryptedOptions): Encrypted {
  const { services, learned, sums } = options;
  if (services.length === 0) return nothing;
  let waiting: OpensslExchange[] = [];
  let openssl: Openssl;
  try {
    openssl = openOpenssl(libc, { services }, (exchange) => {
      sums.request("http", exchange.isError, exchange.latencyNs / 1e9);
      if (waiting.length < MOST_WAITING) waiting.push(exchange);
    });
  } catch (error) {
    if (!(error instanceof X0Error)) throw error;
    const feature: Feature = {
      name: "HTTP inside OpenSSL",
      state: "off",
      reason: messageOf(error),
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    };
    return { ...nothing, features: () => [feature] };
  }
  openssl.discover();
  let discoveredMs = Number.NEGATIVE_INFINITY;

  const tell = (exchange: OpensslExchange, slot: number): void => {
    const { method, target, status, isError, beganNs, latencyNs } = exchange;
    learned.addRequest(slot, isError, latencyNs / 1000);
    if (!options.wantsRequests()) return;
    const time = new Date(options.wallMs(beganNs + latencyNs)).toISOString();
    options.emit({
      kind: "request",
      ...partiesOf(options.flow(slot), time),
      application: "http",
      method,
      target,
      status,
      isError,
      latencyMs: latencyNs / 1e6,
      encrypted: true,
    });
  };

  return {
    read: openssl.read,
    join(nowMs) {
      if (nowMs - discoveredMs >= DISCOVER_MS) {
        discoveredMs = nowMs;
        openssl.discover();
      }
      if (waiting.length === 0) return;
      const pids = new Set(waiting.map(({ pid }) => pid));
      // By each of both ends, where both are of named services.
      const flows = new Map<number, JoinableFlow[]>();
      for (const flow of options.flowsOf(pids))
        for (const pid of new Set([flow.pid, flow.peerPid])) {
          if (pid === null) continue;
          const known = flows.get(pid);
          if (known === undefined) flows.set(pid, [flow]);
          else known.push(flow);
        }
      for (const exchange of waiting) {
        const id = flowOfExchange(exchange, flows.get(exchange.pid) ?? []);
        const slot = id === null ? -1 : options.slotOf(id);
        if (slot >= 0) tell(exchange, slot);
      }
      waiting = [];
    },
    features: openssl.features,
    close: () => void openssl.close(),
  };
}
