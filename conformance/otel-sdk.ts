/**
 * The stock OpenTelemetry SDK for JavaScript against our tracer: the same random programs on the tracing API, and
 * OTLP that says the same after identifiers are numbered and the times of "now" are told apart from given ones.
 */
import { isDeepStrictEqual } from "node:util";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { type ReadableSpan, type SpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { traceRequest } from "../packages/telemetry/src/otlp/trace-request.ts";
import { parentBased } from "../packages/telemetry/src/sampling/parent-based.ts";
import { alwaysOn } from "../packages/telemetry/src/sampling/sampler.ts";
import { type Decoded, decodeTraces } from "../packages/telemetry/src/testing/trace-decode.ts";
import type { SpanChunk } from "../packages/telemetry/src/tracing/chunks.ts";
import { defaultSpanLimits, type SpanLimits } from "../packages/telemetry/src/tracing/limits.ts";
import { createSpanProvider } from "../packages/telemetry/src/tracing/provider.ts";
import type { ConformanceOptions, ConformanceResult } from "./lib/conformance.ts";
import { REMOTE, runProgram } from "./lib/span-program.ts";

const PROGRAMS = 10_000;
const QUICK_PROGRAMS = 1000;
/** Two runs of a program within it. */
const NOW_MS = 10_000n;
const resource = { "service.name": "differential", numbers: [1, 2] };

const limits: readonly SpanLimits[] = [
  defaultSpanLimits,
  {
    attributeCount: 3,
    attributeValueLength: 5,
    eventCount: 2,
    linkCount: 1,
    attributesPerEvent: 1,
    attributesPerLink: 2,
  },
  { ...defaultSpanLimits, eventCount: 0, linkCount: 0, attributeCount: 0 },
];

export async function run({ quick }: ConformanceOptions): Promise<ConformanceResult> {
  const programs = quick ? QUICK_PROGRAMS : PROGRAMS;
  let spans = 0;
  for (let seed = 1; seed <= programs; seed++) {
    const limit = limits[seed % limits.length] as SpanLimits;
    const ours = normalised(byUs(seed, limit));
    const theirs = normalised(byThem(seed, limit));
    if (!isDeepStrictEqual(ours, theirs))
      return {
        outcome: "failed",
        reason: `program ${seed}: ${JSON.stringify(theirs)} and ${JSON.stringify(ours)}`,
      };
    spans += JSON.stringify(ours).match(/"spanId"/g)?.length ?? 0;
  }
  if (spans < programs) return { outcome: "failed", reason: `${programs} programs made ${spans} spans` };
  return { outcome: "passed", reason: `${programs} programs, ${spans} spans and links` };
}

function byUs(seed: number, limit: SpanLimits): Uint8Array {
  const chunks: SpanChunk[] = [];
  const provider = createSpanProvider({
    sampler: parentBased({ root: alwaysOn() }),
    limits: limit,
    chunkBytes: 4096,
    chunkSpans: 5,
    onChunk: (chunk) => chunks.push(chunk),
  });
  runProgram(provider, seed);
  provider.flush();
  if (chunks.length === 0) return new Uint8Array();
  return traceRequest({ attributes: resource, schemaUrl: "urn:r" }, provider.scopes, chunks);
}

function byThem(seed: number, limit: SpanLimits): Uint8Array {
  const ended: ReadableSpan[] = [];
  const collect: SpanProcessor = {
    onStart() {},
    onEnd: (span) => ended.push(span),
    forceFlush: async () => {},
    shutdown: async () => {},
  };
  const provider = new TracerProvider({
    resource: resourceFromAttributes(resource, { schemaUrl: "urn:r" }),
    spanProcessors: [collect],
    spanLimits: {
      attributeCountLimit: limit.attributeCount,
      attributeValueLengthLimit: limit.attributeValueLength,
      eventCountLimit: limit.eventCount,
      linkCountLimit: limit.linkCount,
      attributePerEventCountLimit: limit.attributesPerEvent,
      attributePerLinkCountLimit: limit.attributesPerLink,
    },
  });
  runProgram(provider, seed);
  return ProtobufTraceSerializer.serializeRequest(ended) as Uint8Array;
}

/** Identifiers as numbers in the order in which they come, scopes and keys in order, zero as absent. */
function normalised(request: Uint8Array): Decoded {
  const numbers = new Map<string, number>();
  const sinceNs = (BigInt(Date.now()) - NOW_MS) * 1_000_000n;
  const visit = (node: unknown, name = ""): unknown => {
    if (typeof node === "bigint" && ["start", "end", "time"].includes(name))
      return node > sinceNs ? "now" : String(node);
    if (typeof node === "bigint") return String(node);
    if (typeof node === "string" && /Id$/.test(name) && !node.startsWith(REMOTE)) {
      if (!numbers.has(node)) numbers.set(node, numbers.size);
      return `${name} ${numbers.get(node)}`;
    }
    if (Array.isArray(node)) {
      const list = node.map((one) => visit(one, name));
      return name === "attributes" || name === "values" ? sorted(list) : list;
    }
    if (typeof node !== "object" || node === null) return node;
    const kept = Object.entries(node).filter(([key, value]) => !isAbsent(key, value));
    return Object.fromEntries(kept.map(([key, value]) => [key, visit(value, key)]));
  };
  const decoded = decodeTraces(request) as { resourceSpans?: { scopeSpans?: Decoded[] }[] };
  for (const { scopeSpans } of decoded.resourceSpans ?? [])
    scopeSpans?.sort((a, b) => Number(JSON.stringify(a["scope"]) > JSON.stringify(b["scope"])) - 0.5);
  return visit(decoded) as Decoded;
}

/** By key where they have one: a map's and a span's attributes have no order. */
function sorted(list: unknown[]): unknown[] {
  const keyOf = (one: unknown): string => String((one as Decoded | undefined)?.["key"] ?? "");
  return [...list].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : Number(keyOf(a) > keyOf(b))));
}

function isAbsent(name: string, value: unknown): boolean {
  if (value === 0 && (name.startsWith("dropped") || name === "code")) return true;
  if (value === "" && name === "message") return true;
  return name === "status" && Object.entries(value as object).every(([key, one]) => isAbsent(key, one));
}
