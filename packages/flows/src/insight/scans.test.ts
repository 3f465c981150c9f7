import { seededRandom } from "@x0tta6bl4/core";
import { describe, expect, test } from "vitest";
import { formatAddress } from "../address.ts";
import { createScanDetector, type ScanFinding } from "./scans.ts";

const TCP = 6;
const SERVER = 0x01_00_00_0a;

function detector(seed = 11) {
  const found: ScanFinding[] = [];
  const scans = createScanDetector({
    scanThreshold: 100,
    floodThreshold: 1000,
    seed,
    onFinding: (finding) => found.push(finding),
  });
  const words = new Uint32Array(8);
  words.set([0, 0, 0xffff0000, 0, 0, 0, 0xffff0000, 0]);
  const open = (
    source: number,
    destination: number,
    port: number,
    timeMs: number,
    isOpening = true,
  ): void => {
    words[3] = source;
    words[7] = destination;
    scans.flow(words, 0, 4, port, TCP, timeMs, isOpening, timeMs);
  };
  return { found, open, expire: scans.expire };
}

describe("what is found", () => {
  test("many ports of one host: at once when it is so many, and once a minute how many they are", () => {
    const { found, open, expire } = detector();
    for (let port = 1; port <= 5000; port++) open(7, SERVER, port, port * 10);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ scan: "ports", count: 100, protocol: TCP });
    expect(found[0]?.seconds).toBeCloseTo(1, 1);
    expect(formatAddress(found[0]!.source)).toBe("7.0.0.0");
    expect(formatAddress(found[0]!.destination)).toBe("10.0.0.1");
    expire(200_000);
    expire(400_000);
    expect(found).toHaveLength(2);
    expect(found[1]).toMatchObject({ destinationPort: 5000, flowId: 50_000 });
    expect(Math.abs(found[1]!.count - 5000)).toBeLessThan(5000 * 0.06);
    expect(found[1]?.seconds).toBeCloseTo(50, 0);
  });

  test("one port of many hosts", () => {
    const { found, open } = detector();
    for (let host = 0; host < 500; host++) open(7, host, 22, host);
    expect(found).toMatchObject([{ scan: "hosts", destinationPort: 22, count: 100 }]);
  });

  test("hosts without ports: a ping sweep", () => {
    const { found, open } = detector();
    for (let host = 0; host < 500; host++) open(7, host, 0, host);
    expect(found).toMatchObject([{ scan: "hosts", destinationPort: 0 }]);
  });

  test("many openings of one service in a second, from wherever", () => {
    const { found, open, expire } = detector();
    for (let index = 0; index < 30_000; index++) open(index * 7919, SERVER, 443, index / 10);
    expect(found).toMatchObject([{ scan: "flood", count: 1000, seconds: 1, destinationPort: 443 }]);
    expire(120_000);
    expect(found.map(({ count }) => count)).toEqual([1000, 10_000]);
  });

  test("a scan that goes on is told once a minute", () => {
    const { found, open, expire } = detector();
    const minutes = 10;
    for (let second = 0; second < 60 * minutes; second++) {
      for (let index = 0; index < 20; index++) open(7, SERVER, 1 + second * 20 + index, second * 1000);
      expire(second * 1000);
    }
    expect(found.length).toBeGreaterThanOrEqual(minutes - 1);
    expect(found.length).toBeLessThanOrEqual(minutes + 1);
    for (const { count } of found.slice(2)) expect(Math.abs(count - 1200)).toBeLessThan(120);
  });

  test("what ended is forgotten: the next scan is told anew", () => {
    const { found, open, expire } = detector();
    for (const begin of [0, 600_000]) {
      for (let port = 1; port <= 100; port++) open(7, SERVER, port, begin + port);
      expire(begin + 200_000);
      expire(begin + 400_000);
    }
    expect(found.map(({ scan }) => scan)).toEqual(["ports", "ports"]);
  });
});

describe("what is none", () => {
  test("a busy server with many clients", () => {
    const { found, open } = detector();
    const random = seededRandom(1);
    for (let index = 0; index < 200_000; index++) open(random.below(100_000), SERVER, 443, index * 1.25);
    expect(found).toEqual([]);
  });

  test("50 connections a second to one service", () => {
    const { found, open } = detector();
    for (let index = 0; index < 50 * 600; index++) open(7, SERVER, 5432, index * 20);
    expect(found).toEqual([]);
  });

  test("monitoring that polls 50 hosts at 5 ports each", () => {
    const { found, open } = detector();
    for (let round = 0; round < 60; round++)
      for (let host = 0; host < 50; host++)
        for (const port of [22, 80, 443, 9100, 9256]) open(7, host, port, round * 10_000 + host * 10);
    expect(found).toEqual([]);
  });

  test("connections that were there before, whose direction is a guess", () => {
    const { found, open } = detector();
    for (let port = 1; port < 5000; port++) open(SERVER, 7, port, 5, false);
    expect(found).toEqual([]);
  });
});

test("estimates beside an exact count", () => {
  let worst = 0;
  for (let seed = 1; seed <= 20; seed++)
    for (const distinct of [150, 500, 2000, 8000]) {
      const { found, open, expire } = detector(seed * 7919);
      const random = seededRandom(seed);
      const exact = new Set<number>();
      while (exact.size < distinct) {
        const port = 1 + random.below(65_535);
        exact.add(port);
        open(7, SERVER, port, exact.size / 1000);
      }
      expire(100_000);
      worst = Math.max(worst, Math.abs(found.at(-1)!.count / distinct - 1));
    }
  // Four standard errors at 8000 of 4096 bits, which is where they are greatest.
  expect(worst).toBeLessThan(4 * 0.018);
  expect(worst).toBeGreaterThan(0);
});

test("a scan is found while 20,000 forged sources a second come", () => {
  const { found, open } = detector();
  const random = seededRandom(2);
  for (let time = 0; time < 2000; time += 0.05) {
    open(random.below(2 ** 32), random.below(2 ** 32), random.below(65_536), time);
    if (Math.abs(time % 1) < 0.05) open(7, SERVER, 1 + (Math.floor(time) % 65_535), time);
  }
  expect(found).toMatchObject([{ scan: "ports" }]);
  expect(formatAddress(found[0]!.source)).toBe("7.0.0.0");
});
