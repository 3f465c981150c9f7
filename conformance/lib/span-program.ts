/** Random programs on the tracing API: what they do depends on their seed alone, so that two providers can run them. */
import {
  type Attributes,
  type Context,
  createTraceState,
  ROOT_CONTEXT,
  type Span,
  type SpanKind,
  type SpanOptions,
  type SpanStatusCode,
  type TimeInput,
  type TracerProvider,
  trace,
} from "@opentelemetry/api";
import { type Random, seededRandom } from "@x0tta6bl4/core";

const MOST_SPANS = 12;
const MOST_STEPS = 12;
/** Without `__proto__`, which the stock SDK loses. */
const KEYS = ["a", "http.route", "b", "long.key".repeat(20), "ключ", "x", "", "0", "constructor"];
const TEXTS = [
  "",
  "plain",
  "ünïcode ☃ 🎉",
  "\ud800 alone",
  "x".repeat(127),
  "y".repeat(128),
  "z".repeat(20_000),
  "\0",
];
const NUMBERS = [0, -0, 1, -1, 127, 128, 300, 2 ** 31, -(2 ** 31), 2 ** 53, 2 ** 63, -(2 ** 63), 1.5, 1e300];
const ODD_NUMBERS = [Number.NaN, Number.POSITIVE_INFINITY, Number.MIN_VALUE];
/** Long before this run: a time between them and now was not asked for. */
const EARLIEST_MS = 1_000_000_000_000;

/** Identifiers from elsewhere begin with it, and are the same for all providers. */
export const REMOTE = "feedbeef";

/** Runs one program. */
export function runProgram(provider: TracerProvider, seed: number): void {
  const random = seededRandom(seed);
  const tracers = ["first", "second"].map((name, index) =>
    provider.getTracer(name, index === 0 ? undefined : "1.2.3", index === 0 ? {} : { schemaUrl: "urn:s" }),
  );
  const spans: Span[] = [];
  const count = 1 + random.below(MOST_SPANS);
  for (let index = 0; index < count; index++) {
    const tracer = pick(random, tracers);
    spans.push(tracer.startSpan(text(random), options(random, spans), parentContext(random, spans)));
    for (let steps = random.below(MOST_STEPS); steps > 0; steps--) step(random, pick(random, spans), spans);
  }
  for (const span of spans) span.end(random.below(3) === 0 ? time(random) : undefined);
}

function step(random: Random, span: Span, spans: readonly Span[]): void {
  switch (random.below(9)) {
    case 0:
    case 1:
      span.setAttribute(pick(random, KEYS), value(random, 0) as string);
      break;
    case 2:
      span.setAttributes(attributes(random));
      break;
    case 3:
      if (random.below(2) === 0) span.addEvent(text(random), attributes(random), optionalTime(random));
      else span.addEvent(text(random), optionalTime(random));
      break;
    case 4:
      span.addLink({ context: pick(random, spans).spanContext(), attributes: attributes(random) });
      break;
    case 5:
      span.setStatus({ code: pick(random, [0, 1, 2]) as SpanStatusCode, message: text(random) });
      break;
    case 6:
      span.updateName(text(random));
      break;
    case 7:
      span.recordException(exception(random), optionalTime(random));
      break;
    default:
      if (random.below(4) === 0) span.end(optionalTime(random));
  }
}

function options(random: Random, spans: readonly Span[]): SpanOptions {
  return {
    ...(random.below(2) === 0 ? { kind: pick(random, [0, 1, 2, 3, 4]) as SpanKind } : {}),
    ...(random.below(2) === 0 ? { attributes: attributes(random) } : {}),
    ...(random.below(4) === 0 ? { startTime: time(random) } : {}),
    ...(random.below(6) === 0 ? { root: true } : {}),
    ...(random.below(3) === 0
      ? {
          links: Array.from({ length: random.below(5) }, () => ({
            context: spans.length > 0 ? pick(random, spans).spanContext() : remote(random),
            attributes: attributes(random),
          })),
        }
      : {}),
  };
}

function parentContext(random: Random, spans: readonly Span[]): Context {
  const which = random.below(4);
  if (which === 0 && spans.length > 0) return trace.setSpan(ROOT_CONTEXT, pick(random, spans));
  if (which === 1) return trace.setSpanContext(ROOT_CONTEXT, remote(random));
  if (which === 2) return trace.setSpanContext(ROOT_CONTEXT, { traceId: "0", spanId: "x", traceFlags: 1 });
  return ROOT_CONTEXT;
}

function remote(random: Random) {
  const hex = (digits: number): string =>
    REMOTE + Array.from({ length: digits - 8 }, () => random.below(16).toString(16)).join("");
  const context = { traceId: hex(32), spanId: hex(16), traceFlags: random.below(2), isRemote: true };
  return random.below(2) === 0 ? context : { ...context, traceState: createTraceState("k=v,ot=th:8") };
}

function attributes(random: Random): Attributes {
  const made: Record<string, unknown> = {};
  for (let count = random.below(6); count > 0; count--) made[pick(random, KEYS)] = value(random, 0);
  return made as Attributes;
}

function value(random: Random, depth: number): unknown {
  const which = random.below(depth > 2 ? 8 : 13);
  if (which < 3) return text(random);
  if (which < 5) return pick(random, NUMBERS);
  if (which === 5) return pick(random, ODD_NUMBERS);
  if (which === 6) return random.below(2) === 0;
  if (which === 7) return pick(random, [null, undefined, () => 1, 1n, Symbol("s"), new Date(0), /x/]);
  if (which === 8) return Uint8Array.from({ length: random.below(300) }, () => random.below(256));
  if (which === 9) return Array.from({ length: random.below(5) }, () => text(random));
  if (which === 10) return Array.from({ length: random.below(5) }, () => pick(random, NUMBERS));
  if (which === 11) return Array.from({ length: random.below(4) }, () => value(random, depth + 1));
  return Object.fromEntries(
    Array.from({ length: random.below(4) }, (_, index) => [`k${index}`, value(random, depth + 1)]),
  );
}

function exception(random: Random) {
  const stack = "Error: at nowhere";
  return pick(random, [
    "a text",
    { name: "TypeError", message: text(random), stack },
    { code: 7, message: "coded" },
    { code: "EACCES", name: "Error", message: "denied", stack },
    { message: "" },
  ]);
}

function optionalTime(random: Random): TimeInput | undefined {
  return random.below(2) === 0 ? time(random) : undefined;
}

function time(random: Random): TimeInput {
  const ms = EARLIEST_MS + random.below(600_000_000) * 1000 + random.below(1000);
  const nanos = random.below(1_000_000_000);
  return pick(random, [ms, ms + 0.25, new Date(ms), [Math.floor(ms / 1000), nanos]]);
}

function text(random: Random): string {
  return pick(random, TEXTS);
}

function pick<T>(random: Random, from: readonly T[]): T {
  return from[random.below(from.length)] as T;
}
