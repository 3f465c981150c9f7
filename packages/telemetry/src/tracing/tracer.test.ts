import {
  type Attributes,
  context as contextApi,
  type Link,
  ROOT_CONTEXT,
  type Span,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { suppressTracing } from "@opentelemetry/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { traceRequest } from "../otlp/trace-request.ts";
import { parentBased } from "../sampling/parent-based.ts";
import { alwaysOff, alwaysOn, decision } from "../sampling/sampler.ts";
import { type Decoded, decodeSpans } from "../testing/trace-decode.ts";
import type { SpanChunk } from "./chunks.ts";
import { createSpanProvider, type ProviderOptions } from "./provider.ts";

function recording(options: Partial<ProviderOptions> = {}) {
  const chunks: SpanChunk[] = [];
  const provider = createSpanProvider({
    sampler: parentBased({ root: alwaysOn() }),
    chunkBytes: 65_536,
    chunkSpans: 100,
    onChunk: (chunk) => chunks.push(chunk),
    ...options,
  });
  return {
    provider,
    chunks,
    tracer: provider.getTracer("test"),
    spans() {
      provider.flush();
      return chunks.length === 0
        ? []
        : decodeSpans(traceRequest({ attributes: {}, schemaUrl: undefined }, provider.scopes, chunks));
    },
  };
}

const attributesOf = (span: Decoded | undefined): unknown => span?.["attributes"];

beforeAll(() => contextApi.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()));
afterAll(() => contextApi.disable());

describe("a span's family", () => {
  test("is one trace, and what is active is the parent", async () => {
    const { tracer, spans } = recording();
    await tracer.startActiveSpan("parent", async (parent) => {
      await Promise.resolve();
      tracer.startSpan("child").end();
      parent.end();
    });
    tracer.startSpan("other").end();
    const [child, parent, other] = spans();
    expect(child).toMatchObject({ traceId: parent?.traceId, parentSpanId: parent?.spanId });
    expect(parent).not.toHaveProperty("parentSpanId");
    expect(other?.traceId).not.toBe(parent?.traceId);
  });

  test("goes on from elsewhere, and says so", () => {
    const { tracer, spans } = recording();
    const remote = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", traceFlags: 1 };
    tracer.startSpan("in", {}, trace.setSpanContext(ROOT_CONTEXT, { ...remote, isRemote: true })).end();
    const [span] = spans();
    expect(span).toMatchObject({ traceId: remote.traceId, parentSpanId: remote.spanId, flags: 0x301 });
  });

  test("propagates what is not recorded, and writes nothing", () => {
    const { tracer, spans } = recording({ sampler: alwaysOff() });
    const span = tracer.startSpan("dropped", { attributes: { a: 1 } });
    const context = span.spanContext();
    expect(span.isRecording()).toBe(false);
    expect(context).toMatchObject({ traceFlags: 0 });
    expect(context.traceId).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
    expect(context.spanId).toMatch(/^(?!0{16})[0-9a-f]{16}$/);
    span.end();
    expect(spans()).toEqual([]);
  });

  test("has none where tracing is suppressed", () => {
    const { tracer, spans } = recording();
    contextApi.with(suppressTracing(contextApi.active()), () => tracer.startSpan("own export").end());
    expect(spans()).toEqual([]);
  });

  test("may be recorded without being sampled: it can be read, and is not written", () => {
    const sampler = { description: "record", shouldSample: () => ({ decision: decision.record }) };
    const { tracer, spans } = recording({ sampler });
    const span = tracer.startSpan("seen");
    expect([span.isRecording(), span.spanContext().traceFlags]).toEqual([true, 0]);
    span.end();
    expect(spans()).toEqual([]);
  });
});

test("a span that has ended takes nothing more", () => {
  const { tracer, spans } = recording();
  const span = tracer.startSpan("ended");
  span.end();
  span.setAttribute("late", 1).addEvent("late").setStatus({ code: SpanStatusCode.ERROR }).updateName("late");
  span.end();
  expect(spans()).toHaveLength(1);
  expect(attributesOf(spans()[0])).toBeUndefined();
});

describe("hostile input changes nothing but the span", () => {
  const thrower = {
    get bad(): never {
      throw new Error("a getter");
    },
  };
  const proxy = new Proxy(
    {},
    {
      ownKeys: () => {
        throw new Error("a proxy");
      },
    },
  );
  const ring: Record<string, unknown> = {};
  ring["self"] = ring;
  const acts: readonly (readonly [string, (span: Span) => void])[] = [
    ["a getter that throws", (span) => span.setAttributes(thrower as Attributes)],
    ["a proxy that throws", (span) => span.setAttributes(proxy as Attributes)],
    [
      "an array with a getter",
      (span) =>
        span.setAttribute(
          "a",
          Object.defineProperty([1], 0, {
            get: () => {
              throw new Error("an element");
            },
          }),
        ),
    ],
    ["a ring", (span) => span.setAttribute("a", ring as never)],
    ["a symbol as key", (span) => span.setAttribute(Symbol("k") as never, 1)],
    ["no attributes", (span) => span.setAttributes(null as never)],
    ["no link", (span) => span.addLink(undefined as never)],
    ["a link to nothing", (span) => span.addLink({ context: null } as unknown as Link)],
    ["no links", (span) => span.addLinks(null as never)],
    ["no status", (span) => span.setStatus(undefined as never)],
    ["a status of another kind", (span) => span.setStatus({ code: 77 as never })],
    ["a name that is none", (span) => span.updateName(17 as never)],
    ["an event with a getter", (span) => span.addEvent("e", thrower as Attributes)],
    [
      "an exception with a getter",
      (span) =>
        span.recordException({
          get message(): never {
            throw new Error("m");
          },
        } as never),
    ],
    ["an exception that is none", (span) => span.recordException(null as never)],
    ["a time that is none", (span) => span.end("tomorrow" as never)],
  ];
  test.each(acts)("%s", (_, act) => {
    const { tracer, spans, provider } = recording();
    const span = tracer.startSpan("victim", { attributes: thrower as Attributes });
    expect(() => act(span)).not.toThrow();
    span.setAttribute("after", true);
    span.end();
    expect(provider.failed).toBe(0);
    expect(spans()).toHaveLength(1);
  });

  test("a name that cannot be a text, and a kind that is none", () => {
    const { tracer, spans, provider } = recording();
    const name = Object.create(null) as string;
    for (const kind of [300, -1, Number.NaN, "server"]) {
      const span = tracer.startSpan(name, { kind: kind as never });
      span.addEvent(name).updateName(name);
      span.end();
    }
    expect(provider.failed).toBe(0);
    expect(spans().map(({ name: text, kind }) => [text, kind])).toEqual(Array(4).fill(["", 1]));
  });

  test("a sampler that throws drops the span", () => {
    const sampler = {
      description: "broken",
      shouldSample: () => {
        throw new Error("broken");
      },
    };
    const { tracer, spans } = recording({ sampler });
    tracer.startSpan("x").end();
    expect(spans()).toEqual([]);
  });

  test("keys of JavaScript's objects are keys like others", () => {
    const { tracer, spans } = recording();
    const attributes = JSON.parse('{ "__proto__": 1, "constructor": 2 }') as Attributes;
    tracer.startSpan("keys", { attributes }).end();
    expect(attributesOf(spans()[0])).toEqual([
      { key: "__proto__", value: { int: 1n } },
      { key: "constructor", value: { int: 2n } },
    ]);
  });
});

describe("limits", () => {
  test("of count keep the first attributes, the last events and links", () => {
    const { tracer, spans } = recording();
    const span = tracer.startSpan("full");
    const { context } = { context: span.spanContext() };
    for (let index = 0; index < 10_000; index++) {
      span.setAttribute(`k${index}`, index);
      span.addEvent(`e${index}`);
      span.addLink({ context });
    }
    span.end();
    const [written] = spans();
    expect(written).toMatchObject({ droppedAttributes: 9872, droppedEvents: 9872, droppedLinks: 9872 });
    expect(written?.["attributes"]).toHaveLength(128);
    expect((written?.["events"] as Decoded[] | undefined)?.[127]).toMatchObject({ name: "e9999" });
    expect(written?.["links"]).toHaveLength(128);
  });

  test("of length cut texts within arrays and maps too", () => {
    const { tracer, spans } = recording({ limits: { attributeValueLength: 3 } });
    tracer
      .startSpan("long")
      .setAttribute("a", ["12345", "1"])
      .setAttribute("b", { c: "12345" } as never)
      .end();
    expect(attributesOf(spans()[0])).toEqual([
      { key: "a", value: { array: { values: [{ string: "123" }, { string: "1" }] } } },
      { key: "b", value: { map: { values: [{ key: "c", value: { string: "123" } }] } } },
    ]);
  });

  test("10 MB in one attribute are one chunk, and the next span has a small one", () => {
    const { tracer, spans, chunks } = recording();
    tracer.startSpan("large").setAttribute("text", "é".repeat(5_000_000)).end();
    tracer.startSpan("small").end();
    expect(spans().map(({ name }) => name)).toEqual(["large", "small"]);
    expect(chunks.map(({ bytes }) => bytes.length > 10_000_000)).toEqual([true, false]);
  });
});

test("spans of several scopes share a chunk and are told apart in a request", () => {
  const { provider, chunks, spans } = recording();
  const tracers = ["a", "b"].map((name) => provider.getTracer(name, "1", { schemaUrl: `urn:${name}` }));
  for (let index = 0; index < 6; index++) tracers[index % 2]?.startSpan(`s${index}`).end();
  expect(provider.getTracer("a", "1", { schemaUrl: "urn:a" })).toBe(tracers[0]);
  expect(spans().map(({ name }) => name)).toEqual(["s0", "s2", "s4", "s1", "s3", "s5"]);
  expect(chunks).toHaveLength(1);
});
