/**
 * A context with a span. The API's own copies a map for each span that becomes active; this is one object, which
 * leaves the rest to the context below it, and a span's replaces the last span's, so that no chain can grow.
 */
import { type Context, ROOT_CONTEXT, type Span, trace } from "@opentelemetry/api";

/** Under which the API looks for the span: told by what it sets. */
const SPAN_KEY = spanKey();

export function contextWithSpan(context: Context, span: Span): Context {
  return new SpanHolder(context instanceof SpanHolder ? context.below : context, span);
}

class SpanHolder implements Context {
  readonly below: Context;
  readonly #span: Span;

  constructor(below: Context, span: Span) {
    this.below = below;
    this.#span = span;
  }

  getValue(key: symbol): unknown {
    return key === SPAN_KEY ? this.#span : this.below.getValue(key);
  }

  setValue(key: symbol, value: unknown): Context {
    if (key === SPAN_KEY) return new SpanHolder(this.below, value as Span);
    return new SpanHolder(this.below.setValue(key, value), this.#span);
  }

  deleteValue(key: symbol): Context {
    const below = this.below.deleteValue(key);
    return key === SPAN_KEY ? below : new SpanHolder(below, this.#span);
  }
}

function spanKey(): symbol {
  let found: symbol | undefined;
  const witness: Context = {
    getValue: () => undefined,
    setValue(key) {
      found = key;
      return ROOT_CONTEXT;
    },
    deleteValue: () => ROOT_CONTEXT,
  };
  trace.setSpanContext(witness, { traceId: "", spanId: "", traceFlags: 0 });
  if (found === undefined) throw new Error("@opentelemetry/api sets no span in a context");
  return found;
}
