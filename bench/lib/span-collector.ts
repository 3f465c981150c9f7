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
  readonly argument: { readonly delayMs: number };
  readonly ready: { readonly port: number };
  readonly event: never;
  /** Nobody listens while it is away. */
  readonly order: "go away" | "come back";
  readonly result: { readonly spans: number };
}

serveScript<CollectorContract>(async ({ delayMs }, parent) => {
  let spans = 0;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const parts: Uint8Array[] = [];
    for await (const part of request) parts.push(part as Uint8Array);
    const body = Buffer.concat(parts);
    await sleep(delayMs);
    spans += countSpans(request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body);
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
  return { spans };
});

/** TracesData { resource_spans = 1 { scope_spans = 2 { spans = 2 } } } */
function countSpans(bytes: Buffer): number {
  let count = 0;
  const each = (reader: ByteReader, path: readonly number[]): void => {
    const [field, ...rest] = path;
    while (reader.at < reader.end) {
      const tag = readVarint(reader);
      if (tag >>> 3 !== field) skipField(reader, tag & 7);
      else if (rest.length > 0) each(readDelimited(reader), rest);
      else {
        readDelimited(reader);
        count++;
      }
    }
  };
  each({ bytes, at: 0, end: bytes.length }, [1, 2, 2]);
  return count;
}
