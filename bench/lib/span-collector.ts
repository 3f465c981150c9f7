/** A collector of `span-loss`, in a process of its own: takes OTLP over HTTP after a delay, and counts the spans. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { type ByteReader, readDelimited, readVarint, skipField } from "@x0tta6bl4/core";
import { serveScript } from "../../test/lab/children/serve.ts";
import type { ScriptContract } from "../../test/lab/process.ts";

export interface CollectorContract extends ScriptContract {
  readonly argument: { readonly delayMs: number; readonly isExact: boolean };
  readonly ready: { readonly port: number };
  readonly event: never;
  /** Nobody listens while it is away. */
  readonly order: "go away" | "come back";
  /** `ends`: when each span ended in Unix nanoseconds, one that came twice only once; empty unless exact. */
  readonly result: { readonly spans: number; readonly ends: BigUint64Array };
}

serveScript<CollectorContract>(async ({ delayMs, isExact }, parent) => {
  let spans = 0;
  const ends = new Map<string, bigint>();
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const parts: Uint8Array[] = [];
    for await (const part of request) parts.push(part as Uint8Array);
    const body = Buffer.concat(parts);
    await sleep(delayMs);
    const bytes = request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body;
    eachSpan(bytes, (span) => {
      spans++;
      if (isExact) ends.set(...endOf(span));
    });
    response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
  };
  const listen = async (port: number): Promise<Server> => {
    const server = createServer((request, response) => void answer(request, response).catch(() => {}));
    await once(server.listen(port, "127.0.0.1"), "listening");
    return server;
  };
  let server = await listen(0);
  const { port } = server.address() as AddressInfo;
  parent.on(async (order) => {
    if (order === "come back") server = await listen(port);
    else {
      server.closeAllConnections();
      server.close();
    }
  });
  parent.ready({ port });
  await parent.finished;
  return { spans, ends: BigUint64Array.from(ends.values()) };
});

/** TracesData { resource_spans = 1 { scope_spans = 2 { spans = 2 } } } */
function eachSpan(bytes: Buffer, take: (span: ByteReader) => void): void {
  const each = (reader: ByteReader, path: readonly number[]): void => {
    const [field, ...rest] = path;
    while (reader.at < reader.end) {
      const tag = readVarint(reader);
      if (tag >>> 3 !== field) skipField(reader, tag & 7);
      else if (rest.length > 0) each(readDelimited(reader), rest);
      else take(readDelimited(reader));
    }
  };
  each({ bytes, at: 0, end: bytes.length }, [1, 2, 2]);
}

/** Span { span_id = 2, end_time_unix_nano = 8 } */
function endOf(span: ByteReader): [id: string, endNs: bigint] {
  let [id, endNs] = ["", 0n];
  while (span.at < span.end) {
    const tag = readVarint(span);
    const { at } = span;
    skipField(span, tag & 7);
    if (tag === 0x12) id = span.bytes.toString("latin1", at + 1, span.at);
    else if (tag === 0x41) endNs = span.bytes.readBigUInt64LE(at);
  }
  return [id, endNs];
}
