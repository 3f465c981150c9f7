import { seededRandom } from "@x0tta6bl4/core";
import { describe, expect, test } from "vitest";
import { parseAddress } from "../address.ts";
import { dnsType } from "./dns-codes.ts";
import type { DnsTransaction } from "./dns-tracker.ts";
import { createNameTable, nameLimits } from "./names.ts";

const address = (ip: string): Uint8Array => parseAddress(ip) as Uint8Array;
const wordsOf = (ip: string): Uint32Array => {
  const words = new Uint32Array(6);
  new Uint8Array(words.buffer).set(address(ip), 4);
  return words;
};
const to = (ip: string, owner: string, ttlSeconds = 300) => ({
  owner,
  type: ip.includes(":") ? dnsType.aaaa : dnsType.a,
  ttlSeconds,
  address: address(ip),
  target: "",
});
const alias = (owner: string, target: string) => ({
  owner,
  type: dnsType.cname,
  ttlSeconds: 5,
  address: new Uint8Array(0),
  target,
});
const answered = (
  name: string,
  answers: DnsTransaction["answers"],
  rcode: number | null = 0,
): DnsTransaction => ({ flowId: 1, name, type: 1, rcode, answers, ttlSeconds: 5, queryNs: 0, latencyNs: 1 });

const table = (maxNames = 100) => createNameTable({ maxNames, seed: 77 });

describe("names of addresses", () => {
  test("of IPv4 and IPv6, by their words", () => {
    const names = table();
    names.learn(answered("a.test", [to("192.0.2.1", "a.test"), to("2001:db8::1", "a.test")]), 0);
    expect(names.nameOf(wordsOf("192.0.2.1"), 1, 1)).toBe("a.test");
    expect(names.nameOf(wordsOf("2001:db8::1"), 1, 1)).toBe("a.test");
    expect(names.nameOf(wordsOf("192.0.2.2"), 1, 1)).toBeUndefined();
  });

  test("the asked name, through aliases in any order", () => {
    const names = table();
    const answers = [
      to("192.0.2.1", "c.test"),
      alias("b.test", "c.test"),
      alias("a.test", "b.test"),
      alias("c.test", "a.test"),
    ];
    names.learn(answered("a.test", answers), 0);
    expect(names.nameOf(wordsOf("192.0.2.1"), 1, 1)).toBe("a.test");
  });

  test("nothing of what was not asked, and nothing of errors", () => {
    const names = table();
    names.learn(answered("a.test", [to("192.0.2.1", "bank.test"), alias("bank.test", "a.test")]), 0);
    names.learn(answered("a.test", [to("192.0.2.1", "a.test")], 3), 0);
    names.learn(answered("a.test", [], null), 0);
    expect(names.size).toBe(0);
  });

  test("the latest answer counts", () => {
    const names = table();
    names.learn(answered("a.test", [to("192.0.2.1", "a.test")]), 0);
    names.learn(answered("b.test", [to("192.0.2.1", "b.test")]), 1);
    expect(names.nameOf(wordsOf("192.0.2.1"), 1, 2)).toBe("b.test");
    expect(names.size).toBe(1);
  });

  test("a TTL of 0 still names the flow that follows; a long one ends", () => {
    const names = table();
    names.learn(answered("a.test", [to("192.0.2.1", "a.test", 0)]), 0);
    expect(names.nameOf(wordsOf("192.0.2.1"), 1, nameLimits.minTtlMs - 1)).toBe("a.test");
    names.learn(answered("b.test", [to("192.0.2.2", "b.test", 2 ** 31)]), 0);
    expect(names.nameOf(wordsOf("192.0.2.2"), 1, nameLimits.maxAgeMs)).toBeUndefined();
    expect(names.size).toBe(1);
  });

  test("kept while it is used, but not for ever", () => {
    const names = table();
    names.learn(answered("a.test", [to("192.0.2.1", "a.test", 0)]), 0);
    const step = nameLimits.minTtlMs / 2;
    let seen = 0;
    for (let now = step; names.nameOf(wordsOf("192.0.2.1"), 1, now) !== undefined; now += step) seen = now;
    expect(seen).toBe(nameLimits.maxAgeMs - step);
  });
});

describe("bounds", () => {
  test("the names that were used longest ago go first", () => {
    const names = table(3);
    for (const last of [1, 2, 3])
      names.learn(answered(`n${last}.test`, [to(`192.0.2.${last}`, `n${last}.test`)]), 0);
    names.nameOf(wordsOf("192.0.2.1"), 1, 1);
    names.learn(answered("n4.test", [to("192.0.2.4", "n4.test")]), 2);
    const known = [1, 2, 3, 4].filter((last) => names.nameOf(wordsOf(`192.0.2.${last}`), 1, 3) !== undefined);
    expect(known).toEqual([1, 3, 4]);
  });

  test("characters, however long the names are", () => {
    const names = table(100);
    for (let index = 0; index < 100; index++) {
      const name = `${"x".repeat(996)}.${index}`;
      names.learn(answered(name, [to(`192.0.2.${index}`, name)]), 0);
    }
    expect(names.size).toBe(6);
    expect(names.nameOf(wordsOf("192.0.2.99"), 1, 1)).toContain(".99");
    expect(names.nameOf(wordsOf("192.0.2.0"), 1, 1)).toBeUndefined();
  });

  test("as a Map in the order of use would keep them", () => {
    const random = seededRandom(4);
    const names = table(50);
    const oracle = new Map<string, string>();
    for (let round = 0; round < 20_000; round++) {
      const ip = `10.0.${random.below(2)}.${random.below(60)}`;
      if (random.below(2) === 0) {
        const name = `n${round}.test`;
        names.learn(answered(name, [to(ip, name)]), 0);
        oracle.delete(ip);
        oracle.set(ip, name);
        if (oracle.size > 50) oracle.delete(oracle.keys().next().value as string);
      } else {
        const name = oracle.get(ip);
        expect(names.nameOf(wordsOf(ip), 1, 1)).toBe(name);
        if (name === undefined) continue;
        oracle.delete(ip);
        oracle.set(ip, name);
      }
      expect(names.size).toBe(oracle.size);
    }
  });
});
