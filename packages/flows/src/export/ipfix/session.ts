/**
 * What a transport session adds to messages as it sends them: header, sequence number, and now and then templates
 * and statistics (RFC 7011 §3.1, §8.1). A new connection is a new session.
 */
import type { IpfixMessage } from "./messages.ts";
import { type Statistics, statisticsAnnouncement, statisticsSet } from "./statistics.ts";
import { HEADER_BYTES, stamp } from "./wire.ts";

export interface Session {
  /** The message and what must precede it, ready to be sent in this order. */
  messages(message: IpfixMessage, nowMs: number): Uint8Array[];
  /** Templates go before the next message again: the peer may have lost them. */
  announce(): void;
}

export interface SessionOptions {
  readonly announcement: Uint8Array;
  readonly announceEveryMs: number;
  /** Of the exporting process, over all its sessions. */
  readonly counters: ExportCounters;
}

/** Counted up here; the other figures come from where they are known. */
export interface ExportCounters {
  messages: number;
  records: number;
  octets: number;
  notSentRecords(): number;
  ignored(): { readonly packets: number; readonly octets: number };
}

interface Domain {
  sequence: number;
  announcedMs: number;
}

export function openSession({ announcement, announceEveryMs, counters }: SessionOptions): Session {
  const domains = new Map<number, Domain>();
  return {
    messages({ bytes, records, domain }, nowMs) {
      const state = domains.get(domain) ?? { sequence: 0, announcedMs: Number.NEGATIVE_INFINITY };
      domains.set(domain, state);
      const list: Uint8Array[] = [];
      const add = (message: Uint8Array, dataRecords: number): void => {
        stamp(message, { exportMs: nowMs, sequence: state.sequence, domain });
        state.sequence = (state.sequence + dataRecords) >>> 0;
        counters.messages++;
        counters.octets += message.length;
        list.push(message);
      };
      // A clock that was set back must not silence the templates.
      if (Math.abs(nowMs - state.announcedMs) >= announceEveryMs) {
        state.announcedMs = nowMs;
        add(messageOf(announcement), 0);
        add(messageOf(statisticsAnnouncement, statisticsSet(domain, statisticsOf(counters))), 1);
      }
      counters.records += records;
      add(bytes, records);
      return list;
    },
    announce() {
      for (const state of domains.values()) state.announcedMs = Number.NEGATIVE_INFINITY;
    },
  };
}

function statisticsOf(counters: ExportCounters): Statistics {
  const { packets, octets } = counters.ignored();
  return {
    messages: counters.messages,
    records: counters.records,
    octets: counters.octets,
    notSentRecords: counters.notSentRecords(),
    ignoredPackets: packets,
    ignoredOctets: octets,
  };
}

function messageOf(...sets: readonly Uint8Array[]): Uint8Array {
  const message = new Uint8Array(HEADER_BYTES + sets.reduce((size, set) => size + set.length, 0));
  let at = HEADER_BYTES;
  for (const set of sets) {
    message.set(set, at);
    at += set.length;
  }
  return message;
}
