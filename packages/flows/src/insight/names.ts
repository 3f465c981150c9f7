/**
 * Which name an address has, learned from nothing but answers to queries that were seen. Where two names share an
 * address, the latest answer tells which: the connection follows its look-up.
 */
import { dnsType } from "./dns-codes.ts";
import type { DnsTransaction } from "./dns-tracker.ts";
import { createKeyedLru } from "./keyed-lru.ts";

export const nameLimits = {
  /** A name lives at least so long: the flow that it was asked for begins after the answer, whatever the TTL. */
  minTtlMs: 60_000,
  /** And at most so long without being asked for again, though it be used all the time. */
  maxAgeMs: 86_400_000,
  /** Characters of all names together, for each name that there may be; most have about 30. */
  charactersPerName: 64,
  /** CNAMEs followed from the asked name: resolvers give up after 8 to 16. */
  aliases: 16,
} as const;

export interface NameTable {
  /** Takes the addresses that the asked name leads to, by its CNAMEs if need be. */
  learn(transaction: DnsTransaction, nowMs: number): void;
  /** Name of the address in the four words (its 16 bytes) at `at`. No allocation. */
  nameOf(words: Uint32Array, at: number, nowMs: number): string | undefined;
  readonly size: number;
}

/** @param options.seed any number that strangers do not know; @param options.maxNames about 200 bytes each. */
export function createNameTable(options: { readonly maxNames: number; readonly seed: number }): NameTable {
  const { maxNames, seed } = options;
  const maxCharacters = maxNames * nameLimits.charactersPerName;
  const names: string[] = [];
  const expires = new Float64Array(maxNames);
  const learned = new Float64Array(maxNames);
  let characters = 0;
  const forget = (slot: number): void => {
    characters -= (names[slot] as string).length;
    names[slot] = "";
  };
  const index = createKeyedLru({ capacity: maxNames, keyWords: 4, seed, onEvict: forget });
  const remove = (slot: number): void => {
    forget(slot);
    index.remove(slot);
  };
  const bytes = new Uint8Array(16);
  const key = new Uint32Array(bytes.buffer);

  const put = (name: string, address: Uint8Array, ttlMs: number, nowMs: number): void => {
    bytes.set(address);
    const claimed = index.claim(key, 0);
    const slot = claimed < 0 ? ~claimed : claimed;
    characters += name.length - (names[slot] ?? "").length;
    names[slot] = name;
    learned[slot] = nowMs;
    expires[slot] = nowMs + Math.min(Math.max(ttlMs, nameLimits.minTtlMs), nameLimits.maxAgeMs);
    while (characters > maxCharacters) remove(index.oldest());
  };

  return {
    learn({ name, answers, rcode }, nowMs) {
      if (rcode !== 0) return;
      const chain = followed(name, answers);
      for (const { type, owner, address, ttlSeconds } of answers)
        if (type !== dnsType.cname && chain.includes(owner)) put(name, address, ttlSeconds * 1000, nowMs);
    },
    nameOf(words, at, nowMs) {
      const slot = index.find(words, at);
      if (slot < 0) return undefined;
      if (nowMs >= (expires[slot] as number)) {
        remove(slot);
        return undefined;
      }
      const limit = (learned[slot] as number) + nameLimits.maxAgeMs;
      const kept = Math.min(nowMs + nameLimits.minTtlMs, limit);
      if (kept > (expires[slot] as number)) expires[slot] = kept;
      index.touch(slot);
      return names[slot];
    },
    get size() {
      return index.size;
    },
  };
}

/** The asked name and what its CNAMEs, in whatever order, make of it. */
function followed(name: string, answers: DnsTransaction["answers"]): readonly string[] {
  const chain = [name];
  for (let last = name; chain.length <= nameLimits.aliases; ) {
    const alias = answers.find(({ type, owner }) => type === dnsType.cname && owner === last);
    if (alias === undefined || chain.includes(alias.target)) break;
    last = alias.target;
    chain.push(last);
  }
  return chain;
}
