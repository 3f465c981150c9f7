/**
 * The addresses that the kernel admitted by names: reads them, gives back those of before a restart, lets none go that
 * a connection still holds, and forgets what is long past. What is added goes through the kernel's own program, which
 * may be adding to the same address at that moment.
 */
import {
  admittedLayout,
  connectionKeyLayout,
  flowKeyLayout,
  nameCountsLayout,
  nameSettingsLayout,
} from "../../generated/layout.ts";
import { mapAccess, readBatches, testRun } from "../../kernel/bpf.ts";
import { possibleCpus } from "../../kernel/cpus.ts";
import { kernelError, type Libc, type Memory } from "../../kernel/libc.ts";
import { MOST_PEERS } from "./automaton.ts";
import {
  type AdmittedAddress,
  type AdmittedAddresses,
  MOST_RESOLVERS,
  type NameFigures,
  type NameSettings,
} from "./contract.ts";
import { isEncryptedQuery } from "./encrypted.ts";

/** A live connection holds its address from one look to the next, also if one comes late. */
const HOLD_SECONDS = 30;
/** Soon after its time an address often comes again. */
const FORGET_SECONDS = 600;
const BATCH = 1024;
const ADDRESS_BYTES = 16;
const PLACES = MOST_PEERS;
/** `struct admission` of bpf/names.h. */
const request = { address: 16, peers: 32, until: 64, size: 72 } as const;

export interface NameMaps {
  readonly admitted: number;
  readonly resolvers: number;
  readonly name_settings: number;
  readonly name_counts: number;
}

export interface NamesOptions {
  readonly maps: NameMaps;
  /** The program that admits what it is handed. */
  readonly program: number;
  readonly nowMs: () => number;
  /** CLOCK_BOOTTIME. */
  readonly bootMs: () => number;
}

export interface Names {
  configure(settings: NameSettings): void;
  admit(addresses: readonly AdmittedAddress[]): void;
  /** @param since version of what is known already: then undefined unless it is another. */
  read(since: number): AdmittedAddresses | undefined;
  figures(): NameFigures;
  /** Looks which addresses are held by connections that live; `end` lets these stay and forgets the old ones. */
  beginSweep(): {
    /** A connection that lives. @param at where its key begins */
    note(words: Uint32Array, at: number): void;
    end(): void;
  };
}

interface Entry {
  readonly address: Uint8Array;
  readonly words: Uint32Array;
  readonly places: readonly { readonly peer: number; readonly until: number }[];
  isHeld: boolean;
}

export function openNames(libc: Libc, { maps, program, nowMs, bootMs }: NamesOptions): Names {
  const access = mapAccess(libc);
  let extended = 0;
  let addresses = 0;
  let encrypted = 0;
  let resolvers: readonly Uint8Array[] = [];

  const counts = (): Record<keyof Omit<typeof nameCountsLayout, "size" | "busy">, number> => {
    const cpus = possibleCpus();
    return using(libc, [4, nameCountsLayout.size * cpus], (key, value) => {
      const result = access.lookup(maps.name_counts, key, value);
      if (result < 0) throw kernelError("reading the counts of names", result);
      const sum = (at: number): number => {
        let total = 0;
        for (let cpu = 0; cpu < cpus; cpu++)
          total += Number(value.view.getBigUint64(cpu * nameCountsLayout.size + at, true));
        return total;
      };
      const { queries, answers, admitted, strangers, unasked, malformed, full } = nameCountsLayout;
      return {
        queries: sum(queries),
        answers: sum(answers),
        admitted: sum(admitted),
        strangers: sum(strangers),
        unasked: sum(unasked),
        malformed: sum(malformed),
        full: sum(full),
      };
    });
  };
  const entries = (): Entry[] => {
    const found: Entry[] = [];
    using(libc, [BATCH * ADDRESS_BYTES, BATCH * admittedLayout.size, 8], (keys, values, cursor) => {
      readBatches(libc, maps.admitted, { keys, values, cursor, capacity: BATCH }, (count) => {
        for (let index = 0; index < count; index++) {
          const address = keys.bytes.slice(index * ADDRESS_BYTES, (index + 1) * ADDRESS_BYTES);
          const places = placesAt(values.view, index * admittedLayout.size);
          found.push({ address, words: new Uint32Array(address.buffer), places, isHeld: false });
        }
      });
    });
    return found;
  };
  const add = (address: Uint8Array, peers: readonly number[], until: number): void => {
    const frame = new Uint8Array(request.size);
    const view = new DataView(frame.buffer);
    frame.set(address, request.address);
    for (const [index, peer] of peers.entries()) view.setUint32(request.peers + 4 * index, peer, true);
    view.setUint32(request.until, until, true);
    testRun(libc, program, frame);
  };
  const bootSeconds = (): number => Math.floor(bootMs() / 1000);
  const unixMs = (until: number): number => nowMs() + until * 1000 - bootMs();
  const forget = ({ address, places }: Entry, now: number): void => {
    if (places.some(({ until }) => until + FORGET_SECONDS > now)) return;
    using(libc, [ADDRESS_BYTES, admittedLayout.size], (key, value) => {
      key.bytes.set(address);
      if (access.lookupAndDelete(maps.admitted, key, value) < 0) return;
      // An answer came in between.
      for (const { peer, until } of placesAt(value.view, 0)) if (until > now) add(address, [peer], until);
    });
  };

  return {
    configure(settings) {
      resolvers = settings.resolvers.slice(0, MOST_RESOLVERS);
      writeResolvers(libc, maps.resolvers, resolvers);
      using(libc, [4, 8], (key, value) => {
        value.view.setUint32(nameSettingsLayout.shortest, settings.shortestSeconds, true);
        value.view.setUint32(nameSettingsLayout.longest, settings.longestSeconds, true);
        const result = access.update(maps.name_settings, key, value);
        if (result < 0) throw kernelError("telling how long names hold", result);
      });
    },
    admit(given) {
      const offsetMs = bootMs() - nowMs();
      for (const { address, peers } of given)
        for (const { peer, untilMs } of peers) add(address, [peer], Math.ceil((untilMs + offsetMs) / 1000));
    },
    read(since) {
      const version = counts().admitted + extended;
      if (version === since) return undefined;
      const now = bootSeconds();
      const live = entries().flatMap(({ address, places }): AdmittedAddress[] => {
        const peers = places.filter(({ until }) => until > now);
        if (peers.length === 0) return [];
        return [{ address, peers: peers.map(({ peer, until }) => ({ peer, untilMs: unixMs(until) })) }];
      });
      addresses = live.length;
      return { version, addresses: live };
    },
    figures: () => ({ ...counts(), addresses, encrypted }),
    beginSweep() {
      const now = bootSeconds();
      const all = entries();
      addresses = all.filter(({ places }) => places.some(({ until }) => until > now)).length;
      encrypted = 0;
      const byHash = new Map<number, Entry[]>();
      for (const entry of all) {
        const hash = hashOf(entry.words, 0);
        const others = byHash.get(hash);
        if (others === undefined) byHash.set(hash, [entry]);
        else others.push(entry);
      }
      return {
        note(words, at) {
          const ports = words[at + flowKeyLayout.port / 4] as number;
          if (isEncryptedQuery(words, at, ports, resolvers)) encrypted++;
          if (byHash.size === 0) return;
          for (let side = 0; side < 2; side++) {
            const begin = at + connectionKeyLayout.flow / 4 + 4 * side;
            for (const entry of byHash.get(hashOf(words, begin)) ?? [])
              if (entry.words.every((word, index) => word === words[begin + index])) entry.isHeld = true;
          }
        },
        end() {
          for (const entry of all) {
            if (!entry.isHeld) {
              forget(entry, now);
              continue;
            }
            // Also what ended since the latest look.
            const ending = entry.places.filter(
              ({ until }) => until > now - HOLD_SECONDS && until < now + HOLD_SECONDS,
            );
            if (ending.length === 0) continue;
            add(
              entry.address,
              ending.map(({ peer }) => peer),
              now + HOLD_SECONDS,
            );
            extended++;
          }
        },
      };
    },
  };
}

function placesAt(view: DataView, at: number): { readonly peer: number; readonly until: number }[] {
  return Array.from({ length: PLACES }, (_, index) => ({
    until: view.getUint32(at + 8 * index, true),
    peer: view.getUint32(at + 8 * index + 4, true),
  })).filter(({ peer }) => peer !== 0);
}

function hashOf(words: Uint32Array, at: number): number {
  let hash = 0;
  for (let index = 0; index < 4; index++) hash = (Math.imul(hash, 31) + (words[at + index] as number)) | 0;
  return hash;
}

/** Puts these in the place of those before. */
function writeResolvers(libc: Libc, map: number, resolvers: readonly Uint8Array[]): void {
  const access = mapAccess(libc);
  const wanted = new Set(resolvers.map((address) => Buffer.from(address).toString("latin1")));
  using(libc, [ADDRESS_BYTES, 4, BATCH * ADDRESS_BYTES, BATCH * 4, 8], (key, value, keys, values, cursor) => {
    for (const address of resolvers) {
      key.bytes.set(address);
      const result = access.update(map, key, value);
      if (result < 0) throw kernelError("telling the resolvers", result);
    }
    const gone: Uint8Array[] = [];
    readBatches(libc, map, { keys, values, cursor, capacity: BATCH }, (count) => {
      for (let index = 0; index < count; index++) {
        const old = keys.bytes.slice(index * ADDRESS_BYTES, (index + 1) * ADDRESS_BYTES);
        if (!wanted.has(Buffer.from(old).toString("latin1"))) gone.push(old);
      }
    });
    for (const old of gone) {
      key.bytes.set(old);
      access.delete(map, key);
    }
  });
}

/** Memory of these sizes while something runs. */
function using<T>(
  libc: Libc,
  sizes: readonly number[],
  run: (...memories: [Memory, Memory, Memory, Memory, Memory]) => T,
): T {
  const memories = sizes.map((size) => libc.allocate(size));
  try {
    return run(...(memories as [Memory, Memory, Memory, Memory, Memory]));
  } finally {
    for (const memory of memories) memory.free();
  }
}
