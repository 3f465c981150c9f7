/**
 * Posts chunks to a collector: OTLP/HTTP (specification "OTLP/HTTP Response" and "OTLP/HTTP Throttling"), gzip. Only
 * what the specification calls retryable is tried again.
 */
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { messageOf } from "@x0tta6bl4/core";
import type { Chunk, Destination, Outcome } from "../delivery.ts";

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
  readonly nowMs: () => number;
}

/** Chunks are whole requests, ExportLogsServiceRequest as JSON. */
export function otlpDestination({ url, userAgent, nowMs }: OtlpOptions): Destination<Chunk> {
  return {
    async deliver({ bytes }, signal): Promise<Outcome> {
      try {
        const answer = await fetch(url, {
          method: "POST",
          headers: {
            "content-type": "application/json",
            "content-encoding": "gzip",
            "user-agent": userAgent,
          },
          body: await compress(bytes),
          // Flows go where the operator said, not where a server points.
          redirect: "error",
          signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]),
        });
        const text = await readAnswer(answer);
        if (answer.ok) return accepted(text);
        const problem = `${url.origin} answered ${answer.status}${said(text)}`;
        if (!RETRYABLE.includes(answer.status)) return { kind: "lost", reason: "rejected", problem };
        return { kind: "away", problem, ...pauseOf(answer.headers.get("retry-after"), nowMs()) };
      } catch (error) {
        return { kind: "away", problem: `${url.origin}: ${causeOf(error)}` };
      }
    },
    async close() {},
  };
}

async function readAnswer(answer: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of answer.body ?? []) {
    parts.push(part);
    size += part.length;
    if (size > ANSWER_BYTES) break;
  }
  return Buffer.concat(parts).toString("utf8");
}

/** A partial success is final: the refused records are not sent again. */
function accepted(text: string): Outcome {
  const partial = objectOf(objectOf(parsed(text))["partialSuccess"]);
  const rejected = Number(partial["rejectedLogRecords"] ?? 0);
  const message = String(partial["errorMessage"] ?? "").slice(0, 200);
  return {
    kind: "delivered",
    ...(Number.isSafeInteger(rejected) && rejected > 0 ? { rejected } : {}),
    ...(message === "" ? {} : { problem: `the collector said: ${message}` }),
  };
}

/** The message of a google.rpc.Status, as the specification wants failures explained. */
function said(text: string): string {
  const message = objectOf(parsed(text))["message"];
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
