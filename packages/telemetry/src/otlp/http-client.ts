/**
 * Posts chunks to a collector: OTLP/HTTP (specification "OTLP/HTTP Response" and "OTLP/HTTP Throttling"), gzip. Only
 * what the specification calls retryable is tried again.
 */
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { type ByteReader, messageOf, readDelimited, readVarint, skipField } from "@x0tta6bl4/core";
import type { Chunk, Destination, Outcome } from "../export/delivery.ts";

/** A collector answers in milliseconds, a proxy in front of a dead one in a minute or two. */
const REQUEST_TIMEOUT_MS = 10_000;
/** An answer is a few numbers and a sentence; a page of some other server need not be read to its end. */
const ANSWER_BYTES = 64 * 1024;
/** A peer must not silence an export for a day. */
const LONGEST_PAUSE_MS = 300_000;
const RETRYABLE: readonly number[] = [429, 502, 503, 504];

const compress = promisify(gzip);

export interface OtlpOptions {
  readonly url: URL;
  readonly userAgent: string;
  readonly encoding: "json" | "protobuf";
  readonly nowMs: () => number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly isCompressed?: boolean;
}

/** Chunks are whole requests: Export…ServiceRequest of logs, traces or metrics. */
export function otlpDestination({
  url,
  userAgent,
  encoding,
  nowMs,
  headers = {},
  timeoutMs = REQUEST_TIMEOUT_MS,
  isCompressed = true,
}: OtlpOptions): Destination<Chunk> {
  return {
    async deliver({ bytes }, signal): Promise<Outcome> {
      try {
        const answer = await fetch(url, {
          method: "POST",
          headers: {
            ...headers,
            "content-type": encoding === "json" ? "application/json" : "application/x-protobuf",
            ...(isCompressed ? { "content-encoding": "gzip" } : {}),
            "user-agent": userAgent,
          },
          body: isCompressed ? await compress(bytes) : Buffer.from(bytes),
          // Flows go where the operator said, not where a server points.
          redirect: "error",
          signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
        });
        const said = await readAnswer(answer);
        const isJson = answer.headers.get("content-type")?.startsWith("application/json") === true;
        if (answer.ok) return accepted(isJson ? partialOfJson(said) : partialOfProtobuf(said));
        const problem = `${url.origin} answered ${answer.status}${isJson ? reasonOf(said) : ""}`;
        if (!RETRYABLE.includes(answer.status)) return { kind: "lost", reason: "rejected", problem };
        return { kind: "away", problem, ...pauseOf(answer.headers.get("retry-after"), nowMs()) };
      } catch (error) {
        return { kind: "away", problem: `${url.origin}: ${causeOf(error)}` };
      }
    },
    async close() {},
  };
}

async function readAnswer(answer: Response): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of answer.body ?? []) {
    parts.push(part);
    size += part.length;
    if (size > ANSWER_BYTES) break;
  }
  return Buffer.concat(parts);
}

interface Partial {
  readonly rejected: number;
  readonly message: string;
}

/** A partial success is final: the refused records are not sent again. */
function accepted({ rejected, message }: Partial): Outcome {
  return {
    kind: "delivered",
    ...(Number.isSafeInteger(rejected) && rejected > 0 ? { rejected } : {}),
    ...(message === "" ? {} : { problem: `the collector said: ${message.slice(0, 200)}` }),
  };
}

function partialOfJson(answer: Buffer): Partial {
  const partial = objectOf(objectOf(parsed(answer.toString()))["partialSuccess"]);
  const rejected = ["rejectedLogRecords", "rejectedSpans", "rejectedDataPoints"].map((name) => partial[name]);
  const message = partial["errorMessage"] ?? "";
  return { rejected: Number(rejected.find((count) => count !== undefined) ?? 0), message: String(message) };
}

/** Export…ServiceResponse { partial_success = 1 { rejected = 1, error_message = 2 } }, alike for all signals. */
function partialOfProtobuf(answer: Buffer): Partial {
  let [rejected, message] = [0, ""];
  const read = (reader: ByteReader, take: (field: number) => boolean): void => {
    while (reader.at < reader.end) {
      const tag = readVarint(reader);
      if (!take(tag)) skipField(reader, tag & 7);
    }
  };
  try {
    const whole = { bytes: answer, at: 0, end: answer.length };
    read(whole, (tag) => {
      if (tag !== 0x0a) return false;
      const partial = readDelimited(whole);
      read(partial, (inner) => {
        if (inner === 0x08) rejected = readVarint(partial);
        else if (inner === 0x12) {
          const { at, end } = readDelimited(partial);
          message = answer.toString("utf8", at, end);
        } else return false;
        return true;
      });
      return true;
    });
  } catch {
    // Not of the format: the status alone speaks.
  }
  return { rejected, message };
}

/** The message of a google.rpc.Status, as the specification wants failures explained. */
function reasonOf(answer: Buffer): string {
  const message = objectOf(parsed(answer.toString()))["message"];
  return typeof message === "string" && message !== "" ? `: ${message.slice(0, 200)}` : "";
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A proxy's page, or protobuf.
    return undefined;
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

/** RFC 9110 §10.2.3: seconds, or a date. */
function pauseOf(header: string | null, nowMs: number): { readonly pauseMs?: number } {
  if (header === null) return {};
  const pauseMs = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return Number.isNaN(pauseMs) ? {} : { pauseMs: Math.min(Math.max(pauseMs, 0), LONGEST_PAUSE_MS) };
}

/** `fetch` hides what happened in the cause. */
function causeOf(error: unknown): string {
  const { cause } = error as { readonly cause?: unknown };
  if (cause === undefined) return messageOf(error);
  const { code } = cause as NodeJS.ErrnoException;
  return messageOf(cause) === "" ? (code ?? messageOf(error)) : messageOf(cause);
}
