import { createContextKey, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { expect, test } from "vitest";
import { contextWithSpan } from "./context.ts";
import { UnrecordedSpan } from "./span.ts";

const span = (spanId: string) => new UnrecordedSpan({ traceId: "1".repeat(32), spanId, traceFlags: 1 });
const key = createContextKey("a key");

test("holds the span where the API looks for it, beside the values below", () => {
  const context = contextWithSpan(ROOT_CONTEXT.setValue(key, "value"), span("2".repeat(16)));
  expect(trace.getSpan(context)?.spanContext().spanId).toBe("2".repeat(16));
  expect(context.getValue(key)).toBe("value");
});

test("is changed as any context: each change is a new one", () => {
  const context = contextWithSpan(ROOT_CONTEXT, span("2".repeat(16)));
  const changed = context.setValue(key, 1);
  expect([context.getValue(key), changed.getValue(key)]).toEqual([undefined, 1]);
  expect(trace.getSpan(changed)).toBe(trace.getSpan(context));
  expect(changed.deleteValue(key).getValue(key)).toBeUndefined();
  expect(trace.getSpan(trace.deleteSpan(changed))).toBeUndefined();
  expect(trace.deleteSpan(changed).getValue(key)).toBe(1);
  const other = span("3".repeat(16));
  expect(trace.getSpan(trace.setSpan(changed, other))).toBe(other);
});

test("does not keep the spans that were active before it", () => {
  const kept = new WeakRef(span("1".repeat(16)));
  let context = contextWithSpan(ROOT_CONTEXT, kept.deref() as UnrecordedSpan);
  for (let depth = 0; depth < 100_000; depth++) context = contextWithSpan(context, span("2".repeat(16)));
  // A chain of this length would exceed the stack.
  expect(context.getValue(key)).toBeUndefined();
});
