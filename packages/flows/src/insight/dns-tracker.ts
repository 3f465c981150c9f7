/**
 * Queries and their answers. An answer counts only if its query was seen on the same flow with the same id and
 * question: whatever else claims to be one is ignored. Times are nanoseconds of one monotonic clock, as numbers.
 */
import type { DnsAnswer, DnsMessage } from "./dns.ts";

export interface DnsTransaction {
  readonly flowId: number;
  readonly name: string;
  readonly type: number;
  /** Null where no answer came in time. */
  readonly rcode: number | null;
  readonly answers: readonly DnsAnswer[];
  readonly ttlSeconds: number | null;
  /** When it was first asked. */
  readonly queryNs: number;
  /** From there to the answer, retransmissions included; null without one. */
  readonly latencyNs: number | null;
}

export interface DnsTracker {
  message(flowId: number, message: DnsMessage, timeNs: number): void;
  /** Tells the queries that nobody answered in time. To be called about once a second. */
  expire(nowNs: number): void;
  /** Queries waiting for an answer. */
  readonly pending: number;
  /** Queries given up because too many others came: they are in no transaction. */
  readonly forgotten: number;
}

export const dnsTrackerLimits = {
  /** Waiting queries: 5 s of 3,000 a second without any answer, in about 4 MB. */
  pending: 16_384,
  /** After which a resolver asks again, or gives up (resolv.conf's default). */
  timeoutNs: 5e9,
} as const;

interface Pending {
  readonly flowId: number;
  readonly name: string;
  readonly type: number;
  readonly queryNs: number;
}

export function createDnsTracker(options: {
  readonly limits?: { readonly pending: number; readonly timeoutNs: number };
  readonly onTransaction: (transaction: DnsTransaction) => void;
}): DnsTracker {
  const { limits = dnsTrackerLimits, onTransaction } = options;
  // In the order of asking, which is nearly that of expiry.
  const waiting = new Map<number, Pending>();
  let forgotten = 0;

  const isSame = (pending: Pending, flowId: number, { name, type }: DnsMessage): boolean =>
    pending.flowId === flowId && pending.type === type && pending.name === name;

  const ask = (flowId: number, message: DnsMessage, timeNs: number): void => {
    const key = keyOf(flowId, message);
    const found = waiting.get(key);
    if (found !== undefined) {
      if (isSame(found, flowId, message)) return;
      waiting.delete(key);
      forgotten++;
    }
    if (waiting.size >= limits.pending)
      for (const oldest of waiting.keys()) {
        waiting.delete(oldest);
        forgotten++;
        break;
      }
    waiting.set(key, { flowId, name: message.name, type: message.type, queryNs: timeNs });
  };

  const answer = (flowId: number, message: DnsMessage, timeNs: number): void => {
    const key = keyOf(flowId, message);
    const found = waiting.get(key);
    if (found === undefined || !isSame(found, flowId, message)) return;
    waiting.delete(key);
    const { name, type, queryNs } = found;
    const { rcode, answers, ttlSeconds } = message;
    const latencyNs = Math.max(0, timeNs - queryNs);
    onTransaction({ flowId, name, type, rcode, answers, ttlSeconds, queryNs, latencyNs });
  };

  return {
    message(flowId, message, timeNs) {
      if (message.isResponse) answer(flowId, message, timeNs);
      else ask(flowId, message, timeNs);
    },
    expire(nowNs) {
      for (const [key, { flowId, name, type, queryNs }] of waiting) {
        if (nowNs - queryNs < limits.timeoutNs) return;
        waiting.delete(key);
        const nothing = { rcode: null, answers: [], ttlSeconds: null, latencyNs: null };
        onTransaction({ flowId, name, type, queryNs, ...nothing });
      }
    },
    get pending() {
      return waiting.size;
    },
    get forgotten() {
      return forgotten;
    },
  };
}

/** 48 bits: a hash of flow and question, and the id. Who has the same key is told apart by what is kept. */
function keyOf(flowId: number, { id, name, type }: DnsMessage): number {
  let hash = Math.imul(flowId % 2 ** 32, 0x9e3779b1) ^ Math.imul(flowId / 2 ** 32, 0x85ebca6b) ^ type;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  return (hash >>> 0) * 65_536 + id;
}
