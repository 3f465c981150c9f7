/**
 * What insight tells of flows, by their slot in the flow table: words in the order of a record's, texts beside them.
 * All memory is there from the start, and costs pages only where flows use it.
 */
import { type Application, applications } from "../application.ts";
import { recordWord } from "../recording/record.ts";
import { LEARNED_WORDS } from "./encode.ts";

const offset = (word: number): number => word - recordWord.application;
const APPLICATION = 0;
const CONNECT: number = offset(recordWord.connect);
const RTT: number = offset(recordWord.rtt);
const MIN_RTT: number = offset(recordWord.minRtt);
const RETRANSMITS: number = offset(recordWord.retransmits);
const DROPS: number = offset(recordWord.drops);
const DROP_REASON: number = offset(recordWord.dropReasonString);
const REQUESTS: number = offset(recordWord.requests);
const REQUEST_ERRORS: number = offset(recordWord.requestErrors);
const REQUEST_LATENCY: number = offset(recordWord.requestLatency);
const ENCRYPTED_HELLO = 1 << 24;
const TLS_SEEN = 1 << 25;
const MOST_MICROSECONDS = 0xffff_fffe;

export interface LearnedStore {
  readonly words: Uint32Array;
  at(slot: number): number;
  /** The slot has a new flow. */
  clear(slot: number): void;
  setApplication(slot: number, application: Application): void;
  setTls(
    slot: number,
    facts: {
      readonly serverName: string | null;
      readonly version: number;
      readonly encryptedHello: boolean;
    },
  ): void;
  /**
   * @param isOpener whose socket it is: it outranks the other one of a loopback connection.
   * @returns how many segments were sent again since the last call.
   */
  setTcp(
    slot: number,
    isOpener: boolean,
    connectUs: number,
    rttUs: number,
    minRttUs: number,
    retransmits: number,
  ): number;
  addDrop(slot: number, reason: number): void;
  addRequest(slot: number, isError: boolean, latencyUs: number): void;
  /** Whether the time that the connection took to open is known. */
  hasConnect(slot: number): boolean;
  serverName(slot: number): string | undefined;
  /** Number of the latest drop's reason; 0 without drops. */
  dropReason(slot: number): number;
}

export function createLearnedStore(capacity: number): LearnedStore {
  const words = new Uint32Array(capacity * LEARNED_WORDS);
  /** Whether `setTcp` came from the opener's socket. */
  const isOpeners = new Uint8Array(capacity);
  const serverNames = new Map<number, string>();
  const at = (slot: number): number => slot * LEARNED_WORDS;
  const add = (index: number): void => {
    words[index] = (words[index] as number) + 1;
  };
  return {
    words,
    at,
    clear(slot) {
      const base = at(slot);
      if (words[base] !== 0) serverNames.delete(slot);
      // Only what was written: of most flows nothing is learned, and their pages are not to become resident for it.
      for (let index = base; index < base + LEARNED_WORDS; index++) if (words[index] !== 0) words[index] = 0;
      if (isOpeners[slot] !== 0) isOpeners[slot] = 0;
    },
    setApplication(slot, application) {
      const index = at(slot) + APPLICATION;
      words[index] = ((words[index] as number) & ~0xff) | (applications.indexOf(application) + 1);
    },
    setTls(slot, { serverName, version, encryptedHello }) {
      words[at(slot) + APPLICATION] =
        (applications.indexOf("tls") + 1) |
        ((version & 0xffff) << 8) |
        (encryptedHello ? ENCRYPTED_HELLO : 0) |
        TLS_SEEN;
      if (serverName !== null) serverNames.set(slot, serverName);
    },
    setTcp(slot, isOpener, connectUs, rttUs, minRttUs, retransmits) {
      if (!isOpener && isOpeners[slot] === 1) return 0;
      isOpeners[slot] = isOpener ? 1 : 0;
      const base = at(slot);
      const known = (microseconds: number): number => (microseconds === 0 ? 0 : microseconds + 1);
      words[base + CONNECT] = known(connectUs);
      words[base + RTT] = known(rttUs);
      // ~0 before the first sample.
      words[base + MIN_RTT] = minRttUs >= MOST_MICROSECONDS ? 0 : known(minRttUs);
      const before = Math.max(0, (words[base + RETRANSMITS] as number) - 1);
      words[base + RETRANSMITS] = retransmits + 1;
      return Math.max(0, retransmits - before);
    },
    addDrop(slot, reason) {
      add(at(slot) + DROPS);
      words[at(slot) + DROP_REASON] = reason;
    },
    addRequest(slot, isError, latencyUs) {
      add(at(slot) + REQUESTS);
      if (isError) add(at(slot) + REQUEST_ERRORS);
      words[at(slot) + REQUEST_LATENCY] = Math.min(latencyUs, MOST_MICROSECONDS) + 1;
    },
    hasConnect: (slot) => words[at(slot) + CONNECT] !== 0,
    serverName: (slot) => serverNames.get(slot),
    dropReason: (slot) => words[at(slot) + DROP_REASON] as number,
  };
}
