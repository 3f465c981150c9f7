/**
 * Packets to flows, by the rules of the kernel side, for captures. Time is that of the packets.
 *
 * A TCP flow ends with RST or when both FINs are acknowledged; what follows within `lingerMs` still belongs to it,
 * unless it is a new SYN. Every other flow ends `idleMs` after its last packet. TCP without an end stays open until
 * the table is full; then the flow that was idle longest is ended and counted in `evicted`.
 */
import type { Flow } from "../flow.ts";
import { protocolNumbers, tcpFlag } from "../protocols.ts";
import type { Packet } from "./packet.ts";
import { conversationKey, partiesOfFragments } from "./parties.ts";
import { recencyList } from "./recency.ts";
import { countPacket, type FlowRecord, flowOf, openRecord } from "./record.ts";

export interface AccountOptions {
  /** Called with each flow that is complete: `ended`, or still `active` when the capture is over. */
  readonly onFlow: (flow: Flow) => void;
  /** Called with each new flow after its first packet. */
  readonly onStart?: (flow: Flow) => void;
  /** Default 5,000. */
  readonly lingerMs?: number;
  /** Default 60,000. */
  readonly idleMs?: number;
  /** Most flows held; default 131,072, like the kernel's map. */
  readonly openFlows?: number;
}

export interface FlowAccount {
  add(packet: Packet, timestampNs: bigint, interfaceName: string): void;
  /** Hands out what is still open, oldest start first. */
  finish(): void;
  /** Flows ended early for room. */
  readonly evicted: number;
}

export function accountFlows(options: AccountOptions): FlowAccount {
  const { onFlow, onStart, openFlows = 131_072 } = options;
  const lingerNs = BigInt(options.lingerMs ?? 5000) * 1_000_000n;
  const idleNs = BigInt(options.idleMs ?? 60_000) * 1_000_000n;
  const records = new Map<string, FlowRecord>();
  const partiesOf = partiesOfFragments();
  /** Each by the time at which its flows would end, which is what makes one look at the oldest enough. */
  const connected = recencyList<FlowRecord>();
  const lingering = recencyList<FlowRecord>();
  const idling = recencyList<FlowRecord>();
  let nowNs = 0n;
  let started = 0;
  let evicted = 0;

  function close(record: FlowRecord, state: Flow["state"]): void {
    record.recency?.remove(record);
    records.delete(record.key);
    onFlow(flowOf(record, state));
  }

  function sweep(): void {
    for (let oldest = lingering.oldest; oldest !== undefined; oldest = lingering.oldest) {
      if (nowNs - oldest.touchedNs <= lingerNs) break;
      close(oldest, "ended");
    }
    for (let oldest = idling.oldest; oldest !== undefined; oldest = idling.oldest) {
      if (nowNs - oldest.touchedNs <= idleNs) break;
      close(oldest, "ended");
    }
  }

  function evict(): void {
    let longest: FlowRecord | undefined;
    for (const { oldest } of [lingering, idling, connected])
      if (oldest !== undefined && (longest === undefined || oldest.touchedNs < longest.touchedNs))
        longest = oldest;
    if (longest === undefined) return;
    evicted++;
    close(longest, "ended");
  }

  /** A flow that TCP ended keeps the time of its end: it lingers from then on, whatever still arrives. */
  function touch(record: FlowRecord): void {
    if (record.recency === lingering) return;
    record.touchedNs = nowNs;
    const tcp = record.protocol === protocolNumbers.tcp;
    const recency = !tcp ? idling : record.endedNs === undefined ? connected : lingering;
    if (record.recency !== recency) record.recency?.remove(record);
    record.recency = recency;
    recency.touch(record);
  }

  return {
    add(packet, timestampNs, interfaceName) {
      if (timestampNs > nowNs) nowNs = timestampNs;
      sweep();
      const parties = partiesOf(packet);
      const key = conversationKey(packet, parties);
      let record = records.get(key);
      const flags = packet.tcp?.flags ?? 0;
      if (record?.endedNs !== undefined && (flags & (tcpFlag.SYN | tcpFlag.ACK)) === tcpFlag.SYN) {
        close(record, "ended");
        record = undefined;
      }
      const isNew = record === undefined;
      if (record === undefined) {
        if (records.size >= openFlows) evict();
        record = openRecord(packet, parties, { number: ++started, key, timestampNs, interfaceName });
        records.set(key, record);
      }
      countPacket(record, packet, parties, timestampNs);
      touch(record);
      if (isNew) onStart?.(flowOf(record, "active"));
    },
    finish() {
      for (const record of [...records.values()].sort((a, b) => a.number - b.number))
        close(record, record.endedNs === undefined ? "active" : "ended");
    },
    get evicted() {
      return evicted;
    },
  };
}
