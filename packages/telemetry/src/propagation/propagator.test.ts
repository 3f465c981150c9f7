/**
 * Vectors of https://www.w3.org/TR/trace-context/ (sections 3.2 and 3.3), https://www.w3.org/TR/baggage/ (section 3)
 * and https://github.com/openzipkin/b3-propagation, through the propagators that a configuration names.
 */
import {
  type Context,
  defaultTextMapGetter,
  defaultTextMapSetter,
  propagation,
  ROOT_CONTEXT,
  type SpanContext,
  trace,
} from "@opentelemetry/api";
import { describe, expect, test } from "vitest";
import { createPropagator, type PropagatorName } from "./propagator.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

type Headers = Record<string, string>;

const extracted = (names: readonly PropagatorName[], headers: Headers): Context =>
  createPropagator(names).extract(ROOT_CONTEXT, headers, defaultTextMapGetter);
const spanOf = (context: Context): SpanContext | undefined => trace.getSpanContext(context);
const injected = (names: readonly PropagatorName[], context: Context): Headers => {
  const headers: Headers = {};
  createPropagator(names).inject(context, headers, defaultTextMapSetter);
  return headers;
};

describe("W3C traceparent", () => {
  test.each([
    ["sampled", `00-${TRACE}-${SPAN}-01`, 1],
    ["not sampled", `00-${TRACE}-${SPAN}-00`, 0],
    ["unknown flags", `00-${TRACE}-${SPAN}-ff`, 255],
    ["a later version", `cc-${TRACE}-${SPAN}-01`, 1],
    ["a later version with more fields", `cc-${TRACE}-${SPAN}-01-what-the-future-brings`, 1],
  ])("%s", (_, traceparent, traceFlags) => {
    const context = spanOf(extracted(["tracecontext"], { traceparent }));
    expect(context).toMatchObject({ traceId: TRACE, spanId: SPAN, traceFlags, isRemote: true });
  });

  test.each([
    ["version ff", `ff-${TRACE}-${SPAN}-01`],
    ["version 00 with more fields", `00-${TRACE}-${SPAN}-01-more`],
    ["a version of one digit", `0-${TRACE}-${SPAN}-01`],
    ["capitals", `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ["a trace of zeros", `00-${"0".repeat(32)}-${SPAN}-01`],
    ["a span of zeros", `00-${TRACE}-${"0".repeat(16)}-01`],
    ["a short trace", `00-${TRACE.slice(1)}-${SPAN}-01`],
    ["a long trace", `00-${TRACE}0-${SPAN}-01`],
    ["a short span", `00-${TRACE}-${SPAN.slice(1)}-01`],
    ["flags of one digit", `00-${TRACE}-${SPAN}-1`],
    ["no hexadecimal digits", `00-${TRACE}-${SPAN}-0x`],
    ["another separator", `00_${TRACE}_${SPAN}_01`],
    ["nothing", ""],
    ["100,000 characters", `00-${"a".repeat(100_000)}`],
  ])("refuses %s", (_, traceparent) => {
    expect(spanOf(extracted(["tracecontext"], { traceparent }))).toBeUndefined();
  });
});

describe("W3C tracestate", () => {
  const stateOf = (tracestate: string): string | undefined =>
    spanOf(
      extracted(["tracecontext"], { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate }),
    )?.traceState?.serialize();
  test.each([
    ["one", "foo=1", "foo=1"],
    ["several, in order", "foo=1,bar=2", "foo=1,bar=2"],
    ["spaces around members", "foo=1 \t , \t bar=2", "foo=1,bar=2"],
    ["an empty member", "foo=1,,bar=2", "foo=1,bar=2"],
    ["a key of a tenant", "tenant@vendor=1", "tenant@vendor=1"],
    ["an equals sign in a value", "foo=bar=baz,x=1", "x=1"],
    ["a key in capitals", "FOO=1,x=1", "x=1"],
    ["a key without value", "foo,x=1", "x=1"],
    ["nothing", "", undefined],
  ])("%s", (_, header, expected) => {
    expect(stateOf(header)).toBe(expected);
  });

  test("32 members at most", () => {
    const members = Array.from({ length: 40 }, (_, index) => `k${index}=1`);
    expect(stateOf(members.join(","))).toBe(members.slice(0, 32).join(","));
  });

  test("goes on with the trace", () => {
    const headers = { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: "foo=1,bar=2" };
    expect(injected(["tracecontext"], extracted(["tracecontext"], headers))).toEqual(headers);
  });
});

describe("W3C baggage", () => {
  const entriesOf = (baggage: string): readonly string[] =>
    propagation
      .getBaggage(extracted(["baggage"], { baggage }))
      ?.getAllEntries()
      .map(([key, { value }]) => `${key}=${value}`) ?? [];
  test.each([
    ["one", "a=1", ["a=1"]],
    ["spaces", "a = 1 , b = 2", ["a=1", "b=2"]],
    ["percent-encoding", "a=%20x%2C", ["a= x,"]],
    ["properties", "a=1;p;q=2,b=2", ["a=1", "b=2"]],
    ["broken encoding", "a=%E0%A4%A,b=2", ["b=2"]],
    ["no key", "=1,b=2", ["b=2"]],
    ["nothing", "", []],
  ])("%s", (_, header, expected) => {
    expect(entriesOf(header)).toEqual(expected);
  });

  test("180 members and 8,192 bytes at most", () => {
    expect(entriesOf(Array.from({ length: 300 }, (_, index) => `k${index}=1`).join(","))).toHaveLength(180);
    expect(
      entriesOf(Array.from({ length: 10 }, (_, index) => `k${index}=${"x".repeat(1000)}`).join(",")),
    ).toHaveLength(8);
  });

  test("goes on, encoded", () => {
    const baggage = propagation.createBaggage({ "a key": { value: "ü,;" } });
    const headers = injected(["baggage"], propagation.setBaggage(ROOT_CONTEXT, baggage));
    expect(headers).toEqual({ baggage: "a%20key=%C3%BC%2C%3B" });
  });
});

describe("B3", () => {
  test.each([
    ["single, sampled", { b3: `${TRACE}-${SPAN}-1` }, TRACE, 1],
    ["single, not sampled", { b3: `${TRACE}-${SPAN}-0` }, TRACE, 0],
    ["single, debug", { b3: `${TRACE}-${SPAN}-d` }, TRACE, 1],
    ["single, with its parent", { b3: `${TRACE}-${SPAN}-1-05e3ac9a4f6e3b90` }, TRACE, 1],
    ["single, undecided", { b3: `${TRACE}-${SPAN}` }, TRACE, 0],
    ["single, 64 bits", { b3: `${TRACE.slice(16)}-${SPAN}-1` }, TRACE.slice(16).padStart(32, "0"), 1],
    ["multi, sampled", { "x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "1" }, TRACE, 1],
    ["multi, an old word", { "x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "true" }, TRACE, 1],
    ["multi, not sampled", { "x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "0" }, TRACE, 0],
    ["multi, debug", { "x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-flags": "1" }, TRACE, 1],
    [
      "multi, 64 bits",
      { "x-b3-traceid": TRACE.slice(16), "x-b3-spanid": SPAN, "x-b3-sampled": "1" },
      TRACE.slice(16).padStart(32, "0"),
      1,
    ],
  ])("%s", (_, headers, traceId, traceFlags) => {
    const context = spanOf(extracted(["b3"], headers as Headers));
    expect(context).toMatchObject({ traceId, spanId: SPAN, traceFlags, isRemote: true });
  });

  test.each([
    ["a denial without identifiers", { b3: "0" }],
    ["a short span", { b3: `${TRACE}-${SPAN.slice(1)}-1` }],
    ["zeros", { b3: `${"0".repeat(32)}-${SPAN}-1` }],
    ["no digits", { b3: `${"g".repeat(32)}-${SPAN}-1` }],
    ["a span without trace", { "x-b3-spanid": SPAN, "x-b3-sampled": "1" }],
  ])("has no context for %s", (_, headers) => {
    expect(spanOf(extracted(["b3"], headers as Headers))).toBeUndefined();
  });

  test.each([
    ["b3", { b3: `${TRACE}-${SPAN}-1` }],
    ["b3multi", { "x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "1" }],
  ] as const)("%s is injected", (name, expected) => {
    const context = trace.setSpanContext(ROOT_CONTEXT, { traceId: TRACE, spanId: SPAN, traceFlags: 1 });
    expect(injected([name], context)).toEqual(expected);
  });
});

test("several formats go out together, and each of them comes in", () => {
  const all: PropagatorName[] = ["tracecontext", "baggage", "b3", "b3multi"];
  const context = trace.setSpanContext(ROOT_CONTEXT, { traceId: TRACE, spanId: SPAN, traceFlags: 1 });
  const headers = injected(all, context);
  expect(Object.keys(headers).sort()).toEqual([
    "b3",
    "traceparent",
    "x-b3-sampled",
    "x-b3-spanid",
    "x-b3-traceid",
  ]);
  for (const part of [["traceparent"], ["b3"], ["x-b3-traceid", "x-b3-spanid", "x-b3-sampled"]]) {
    const alone = Object.fromEntries(part.map((name) => [name, headers[name] as string]));
    expect(spanOf(extracted(all, alone))).toMatchObject({ traceId: TRACE, spanId: SPAN, traceFlags: 1 });
  }
});
