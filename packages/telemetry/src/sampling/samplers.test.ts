import { ROOT_CONTEXT, SpanKind, trace } from "@opentelemetry/api";
import { TraceState } from "@opentelemetry/core";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
} from "@opentelemetry/sdk-trace";
import { describe, expect, test } from "vitest";
import { randomWords, WordContext } from "../tracing/ids.ts";
import { adjustedCount, consistentProbability } from "./consistent-probability.ts";
import { parentBased } from "./parent-based.ts";
import { rateLimiting } from "./rate-limiting.ts";
import { alwaysOff, alwaysOn, decision, type SpanStart } from "./sampler.ts";
import { traceIdRatio } from "./trace-id-ratio.ts";

const random = randomWords(Uint32Array.of(1, 2, 3, 4));

function start(parent?: { traceFlags: number; isRemote: boolean; traceState?: TraceState }): SpanStart {
  const trace4 = { trace0: random(), trace1: random(), trace2: random(), trace3: random() };
  const { traceId } = new WordContext(trace4, 1, 1, 0, undefined, false);
  return {
    ...trace4,
    traceId,
    context: ROOT_CONTEXT,
    parent: parent && { traceId, spanId: "1".repeat(16), ...parent },
    name: "span",
    kind: SpanKind.INTERNAL,
    attributes: {},
    links: [],
  };
}

const isSampled = (result: { decision: number }): boolean => result.decision === decision.recordAndSample;

test.each([0, 0.001, 0.25, 0.5, 0.999, 1, Number.NaN, -1, 2])(
  "traceIdRatio(%d) decides each trace as the stock SDK does",
  (ratio) => {
    const [ours, stock] = [traceIdRatio(ratio), new TraceIdRatioBasedSampler(ratio)];
    for (let index = 0; index < 5000; index++) {
      const one = start();
      const theirs = stock.shouldSample(ROOT_CONTEXT, one.traceId);
      expect(isSampled(ours.shouldSample(one))).toBe(isSampled(theirs));
    }
    expect(ours.description).toBe(stock.toString());
  },
);

test("parentBased asks the delegate that the stock SDK asks", () => {
  for (const [remoteSampled, remoteNot, localSampled, localNot] of [
    [false, true, false, true],
    [true, false, true, false],
  ]) {
    const ours = parentBased({
      root: alwaysOff(),
      remoteParentSampled: remoteSampled ? alwaysOn() : alwaysOff(),
      remoteParentNotSampled: remoteNot ? alwaysOn() : alwaysOff(),
      localParentSampled: localSampled ? alwaysOn() : alwaysOff(),
      localParentNotSampled: localNot ? alwaysOn() : alwaysOff(),
    });
    const of = (on: boolean | undefined) => (on ? new AlwaysOnSampler() : new AlwaysOffSampler());
    const stock = new ParentBasedSampler({
      root: of(false),
      remoteParentSampled: of(remoteSampled),
      remoteParentNotSampled: of(remoteNot),
      localParentSampled: of(localSampled),
      localParentNotSampled: of(localNot),
    });
    expect(ours.description).toBe(stock.toString());
    for (const traceFlags of [0, 1])
      for (const isRemote of [false, true]) {
        const one = start({ traceFlags, isRemote });
        const context = one.parent ? trace.setSpanContext(ROOT_CONTEXT, one.parent) : ROOT_CONTEXT;
        const theirs = stock.shouldSample(context, one.traceId, "span", SpanKind.INTERNAL, {}, []);
        expect(isSampled(ours.shouldSample(one))).toBe(isSampled(theirs));
      }
    expect(isSampled(ours.shouldSample(start()))).toBe(false);
  }
});

test("rateLimiting lets a second's worth pass at once, then as many as time allows", () => {
  let now = 0;
  const sampler = rateLimiting(10, () => now);
  const passed = (): number =>
    Array.from({ length: 100 }, () => sampler.shouldSample(start())).filter(isSampled).length;
  expect(passed()).toBe(10);
  expect(passed()).toBe(0);
  now = 250;
  expect(passed()).toBe(2);
  now = 60_000;
  expect(passed()).toBe(10);
  expect(Array.from({ length: 9 }, () => rateLimiting(0).shouldSample(start())).some(isSampled)).toBe(false);
});

describe("consistentProbability", () => {
  // Of the specification's examples of thresholds.
  test.each([
    [1, "0", 1],
    [0.75, "4", 4 / 3],
    [0.5, "8", 2],
    [0.25, "c", 4],
    [1 / 3, "aaaaaaaaaaaaac", 3],
    [0.01, "fd70a3d70a3d7", 100],
    [1 / 256, "ff", 256],
  ])("of %d has the threshold %s and counts for %d", (probability, threshold, count) => {
    const sampler = consistentProbability(probability);
    const traceState = new TraceState("ot=rv:ffffffffffffff,other=kept");
    const result = sampler.shouldSample(start({ traceFlags: 1, isRemote: true, traceState }));
    expect(isSampled(result)).toBe(true);
    const [, th = ""] = /th:([0-9a-f]+)/.exec(result.traceState?.get("ot") ?? "") ?? [];
    // A number of 53 bits does not hold a third to the last digit.
    expect(th.slice(0, 12)).toBe(threshold.slice(0, 12));
    expect(adjustedCount(result.traceState)).toBeCloseTo(count, 6);
    expect(result.traceState?.get("other")).toBe("kept");
  });

  test("samples its share, and a smaller share's traces are among a larger one's", () => {
    const [few, many] = [consistentProbability(0.1), consistentProbability(0.4)];
    const count = { few: 0, many: 0 };
    for (let index = 0; index < 20_000; index++) {
      const one = start();
      const [inFew, inMany] = [isSampled(few.shouldSample(one)), isSampled(many.shouldSample(one))];
      if (inFew) expect(inMany).toBe(true);
      count.few += Number(inFew);
      count.many += Number(inMany);
    }
    expect(count.few / 20_000).toBeCloseTo(0.1, 1.5);
    expect(count.many / 20_000).toBeCloseTo(0.4, 1.5);
  });

  test.each([
    ["7fffffffffffff", false],
    ["80000000000000", true],
  ])("decides by an explicit %s: %s", (rv, expected) => {
    const traceState = new TraceState(`ot=rv:${rv};th:0`);
    const result = consistentProbability(0.5).shouldSample(
      start({ traceFlags: 1, isRemote: true, traceState }),
    );
    expect(isSampled(result)).toBe(expected);
    expect(result.traceState?.get("ot")).toBe(expected ? `rv:${rv};th:8` : `rv:${rv}`);
  });

  test("takes no other number, and no other tracestate", () => {
    for (const probability of [-0.1, 1.1, Number.NaN])
      expect(() => consistentProbability(probability)).toThrow(RangeError);
    for (const text of ["ot=th:", "ot=th:xyz", "ot=th:123456789012345", "ot=;;", "other=1", ""])
      expect(adjustedCount(new TraceState(text))).toBeUndefined();
  });
});
