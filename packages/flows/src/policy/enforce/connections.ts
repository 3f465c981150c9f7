/**
 * The connections that the kernel side lets pass, in a map that never evicts: here they are taken out again when they
 * are over.
 */
import { formatAddress, parseAddress } from "../../address.ts";
import { writeFlowKey } from "../../conntrack/key.ts";
import { connectionKeyLayout, connectionLayout, flowKeyLayout } from "../../generated/layout.ts";
import { deleteKeys, mapAccess, readBatches } from "../../kernel/bpf.ts";
import { kernelError, type Libc } from "../../kernel/libc.ts";
import type { Tuple } from "./contract.ts";

const BATCH = 1024;
const EEXIST = -17;
const E2BIG = -7;
const KEY_WORDS = connectionKeyLayout.size / 4;
const VALUE_WORDS = connectionLayout.size / 4;
/** Of a verdict: which side opened the connection. */
export const SIDE = 1 << 28;

export interface Connections {
  /** As of the latest sweep. */
  readonly count: number;
  /** Older ones without room: judged by their next packet alone, as those that the kernel side cannot remember. */
  readonly unremembered: number;
  /**
   * Remembers who opened connections that are older than the agent, but those that are remembered already; each is
   * judged anew when it sends.
   */
  remember(connections: readonly Tuple[], nowTicks: number): void;
  /** Those of an agent before this one: its flows are not ours. */
  adopt(nowTicks: number): void;
  /**
   * Takes out what has no flow any more.
   *
   * @param isActive whether a flow is, by the two words of its id; 0 for one that has none yet.
   * @param ages in ticks since the latest verdict: how far it may be ahead of what is known of its flow, and how long
   * one may be silent that has no flow yet.
   * @param evicted when a flow that had to make room was last heard of, in ticks; undefined for any other.
   * @param note what lives, by where its key begins.
   */
  sweep(
    isActive: (low: number, high: number) => boolean,
    nowTicks: number,
    ages: { readonly grace: number; readonly idle: number },
    evicted: (low: number, high: number) => number | undefined,
    note: (words: Uint32Array, at: number) => void,
  ): void;
  close(): void;
}

export function openConnections(libc: Libc, map: number): Connections {
  const keys = libc.allocate(BATCH * connectionKeyLayout.size);
  const values = libc.allocate(BATCH * connectionLayout.size);
  const over = libc.allocate(BATCH * connectionKeyLayout.size);
  const cursor = libc.allocate(8);
  const keyWords = new Uint32Array(keys.bytes.buffer);
  const valueWords = new Uint32Array(values.bytes.buffer);
  const overWords = new Uint32Array(over.bytes.buffer);
  const access = mapAccess(libc);
  let count = 0;
  let unremembered = 0;
  const each = (visit: (index: number) => void): void =>
    readBatches(libc, map, { keys, values, cursor, capacity: BATCH }, (read) => {
      for (let index = 0; index < read; index++) visit(index);
    });
  return {
    get count() {
      return count;
    },
    get unremembered() {
      return unremembered;
    },
    adopt(nowTicks) {
      const found: Uint32Array[] = [];
      each((index) => {
        const key = keyWords.slice(index * KEY_WORDS, (index + 1) * KEY_WORDS);
        const value = valueWords.slice(index * VALUE_WORDS, (index + 1) * VALUE_WORDS);
        found.push(Uint32Array.of(...key, ...value));
      });
      for (const entry of found) {
        keyWords.set(entry.subarray(0, KEY_WORDS));
        valueWords.set(entry.subarray(KEY_WORDS));
        valueWords[connectionLayout.last / 4] = nowTicks;
        valueWords.fill(0, connectionLayout.flow / 4, connectionLayout.flow / 4 + 2);
        access.update(map, keys, values);
      }
    },
    remember(connections, nowTicks) {
      for (const connection of connections) {
        keyWords.fill(0, 0, KEY_WORDS);
        valueWords.fill(0, 0, VALUE_WORDS);
        const isSecond = writeTupleKey(connection, keyWords, 0);
        if (isSecond === undefined) continue;
        valueWords[connectionLayout.verdict / 4] = isSecond ? SIDE : 0;
        valueWords[connectionLayout.last / 4] = nowTicks;
        const result = access.insert(map, keys, values);
        if (result === E2BIG) unremembered++;
        else if (result < 0 && result !== EEXIST)
          throw kernelError("remembering an older connection", result);
      }
    },
    sweep(isActive, nowTicks, { grace, idle }, evicted, note) {
      const gone: number[] = [];
      count = 0;
      readBatches(libc, map, { keys, values, cursor, capacity: BATCH }, (read) => {
        count += read;
        for (let index = 0; index < read; index++) {
          const at = index * VALUE_WORDS;
          const flow = at + connectionLayout.flow / 4;
          const [low, high] = [valueWords[flow] as number, valueWords[flow + 1] as number];
          const isFlowless = low === 0 && high === 0;
          const heard = isFlowless ? undefined : evicted(low, high);
          const since = heard ?? (valueWords[at + connectionLayout.last / 4] as number);
          const ticks = (nowTicks - since) | 0;
          // A verdict may be a little ahead of this look; one that is far ahead is half the clock's round old.
          const age = ticks < -grace ? Number.POSITIVE_INFINITY : ticks;
          const isLive = isFlowless || heard !== undefined ? age <= idle : isActive(low, high);
          if (isLive) note(keyWords, index * KEY_WORDS);
          if (isLive || age <= grace) continue;
          for (let word = 0; word < KEY_WORDS; word++)
            gone.push(keyWords[index * KEY_WORDS + word] as number);
        }
      });
      for (let at = 0; at < gone.length; at += BATCH * KEY_WORDS) {
        const some = gone.slice(at, at + BATCH * KEY_WORDS);
        overWords.set(some);
        deleteKeys(libc, map, over, connectionKeyLayout.size, some.length / KEY_WORDS);
      }
      count -= gone.length / KEY_WORDS;
    },
    close() {
      for (const memory of [keys, values, over, cursor]) memory.free();
    },
  };
}

/**
 * Writes the flow key of a connection in the agent's own namespace.
 * @returns whether its source is side 1; undefined where an address is none.
 */
export function writeTupleKey(
  { protocol, source, destination }: Tuple,
  words: Uint32Array,
  at: number,
): boolean | undefined {
  const [from, to] = [parseAddress(source.ip), parseAddress(destination.ip)];
  if (from === undefined || to === undefined) return undefined;
  const addresses = new Uint8Array(32);
  addresses.set(from);
  addresses.set(to, 16);
  writeFlowKey(
    { addresses, ports: Uint16Array.of(source.port, destination.port), protocol, isEcho: false },
    0,
    words,
    at,
  );
  const first = new Uint8Array(words.buffer, words.byteOffset + 4 * at, 16);
  const port = (words[at + flowKeyLayout.port / 4] as number) & 0xffff;
  return formatAddress(first) !== formatAddress(from) || port !== source.port;
}
