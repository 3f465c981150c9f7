/** A program that is traced, and a collector that takes only what OTLP over HTTP allows. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { propagation, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { expect, test, vi } from "vitest";
import { type DecodedSpan, decodeSpans, decodeTraces } from "./testing/trace-decode.ts";
import { openTracing, type TracingOptions } from "./tracing.ts";

interface Answer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array | string;
}

/** Answers as told, then with success. */
async function collector(answers: Answer[] = []) {
  const spans: DecodedSpan[] = [];
  const resources: unknown[] = [];
  const seen: string[] = [];
  const answer = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const parts: Uint8Array[] = [];
    for await (const part of incoming) parts.push(part as Uint8Array);
    const { method, url, headers } = incoming;
    seen.push(
      `${method} ${url} ${headers["content-type"]} ${headers["content-encoding"]} ${headers["x-key"]}`,
    );
    const { status, headers: extra = {}, body = "" } = answers.shift() ?? { status: 200 };
    if (status === 200) {
      const bytes = gunzipSync(Buffer.concat(parts));
      spans.push(...decodeSpans(bytes));
      resources.push(decodeTraces(bytes)["resourceSpans"]);
    }
    response.writeHead(status, { "content-type": "application/x-protobuf", ...extra }).end(body);
  };
  const server = createServer((incoming, response) => void answer(incoming, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    spans,
    resources,
    seen,
    endpoint: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function traced(endpoint: string, options: Partial<TracingOptions> = {}) {
  const tracing = await openTracing({ resource: { "service.name": "shop" }, endpoint, ...options });
  return { ...tracing, [Symbol.asyncDispose]: () => tracing.shutdown(5000) };
}

const startAndEnd = (count: number): void => {
  for (let index = 0; index < count; index++) trace.getTracer("test").startSpan(`s${index}`).end();
};

test("what the API is told arrives at the collector", async () => {
  await using peer = await collector();
  await using tracing = await traced(peer.endpoint, { headers: { "x-key": "secret" } });
  trace.getTracer("lib", "2.0").startActiveSpan("outer", (span) => {
    const headers: Record<string, string> = {};
    propagation.inject(trace.setSpan(ROOT_CONTEXT, span), headers);
    expect(headers["traceparent"]).toContain(span.spanContext().traceId);
    trace.getTracer("lib", "2.0").startSpan("inner").end();
    span.end();
  });
  await tracing.forceFlush();
  expect(peer.spans.map(({ name }) => name)).toEqual(["inner", "outer"]);
  expect(peer.seen).toEqual(["POST /v1/traces application/x-protobuf gzip secret"]);
  expect(peer.resources).toMatchObject([
    [
      {
        resource: { attributes: [{ key: "service.name", value: { string: "shop" } }] },
        scopeSpans: [{ scope: { name: "lib", version: "2.0" } }],
      },
    ],
  ]);
  expect(await tracing.totals()).toMatchObject({ records: 2, queued: 0, behind: 0, failed: 0 });
});

test("spans leave by themselves, by time and by number", async () => {
  await using peer = await collector();
  await using _tracing = await traced(peer.endpoint, { scheduledDelayMs: 20, maxExportBatchSize: 10 });
  startAndEnd(25);
  await vi.waitFor(() => expect(peer.spans).toHaveLength(25));
  expect(peer.seen.length).toBeGreaterThanOrEqual(3);
});

test("shutdown delivers what has ended, and tracing is off after it", async () => {
  await using peer = await collector();
  const tracing = await traced(peer.endpoint);
  startAndEnd(1000);
  await tracing.shutdown(10_000);
  expect(peer.spans).toHaveLength(1000);
  startAndEnd(1);
  await tracing.shutdown(10_000);
  expect(peer.spans).toHaveLength(1000);
});

test.each([429, 502, 503, 504])("an answer of %d is tried again", async (status) => {
  await using peer = await collector([{ status, headers: { "retry-after": "0" } }]);
  await using tracing = await traced(peer.endpoint);
  startAndEnd(3);
  await tracing.forceFlush();
  expect(peer.spans).toHaveLength(3);
  expect(await tracing.totals()).toMatchObject({ records: 3, retries: 1 });
});

test("what is refused is counted, and why is said", async () => {
  await using peer = await collector([
    { status: 400 },
    // ExportTraceServiceResponse { partial_success { rejected_spans: 2, error_message: "no" } }
    { status: 200, body: Buffer.from("0a0608021202 6e6f".replace(" ", ""), "hex") },
  ]);
  await using tracing = await traced(peer.endpoint);
  startAndEnd(1);
  await tracing.forceFlush();
  expect(await tracing.totals()).toMatchObject({
    dropped: new Map([["rejected", 1]]),
    problem: `${peer.endpoint} answered 400`,
  });
  startAndEnd(3);
  await tracing.forceFlush();
  expect(await tracing.totals()).toMatchObject({
    records: 1,
    dropped: new Map([["rejected", 3]]),
    problem: "the collector said: no",
  });
});

test("what waits on disk outlives the process, and arrives once", async () => {
  const folder = await mkdtemp(join(tmpdir(), "x0-spans-"));
  const spool = { folder, maxBytes: 64 * 2 ** 20 };
  const program = `const { openTracing } = await import(${JSON.stringify(new URL("./tracing.ts", import.meta.url).href)});
    const spool = ${JSON.stringify(spool)};
    const { provider, totals } = await openTracing({ resource: {}, endpoint: "http://127.0.0.1:9", spool });
    for (let index = 0; index < 700; index++) provider.getTracer("t").startSpan("s" + index).end();
    setInterval(async () => (await totals()).queued === 700 && console.log("all on disk"), 20);`;
  const app = join(folder, "app.mjs");
  await writeFile(app, program);
  const child = spawn(process.execPath, ["--conditions=x0tta6bl4-source", app], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  await once(child, "exit");
  await using peer = await collector();
  const tracing = await traced(peer.endpoint, { spool });
  startAndEnd(1);
  await tracing.forceFlush();
  expect(peer.spans.map(({ name }) => name).sort()).toEqual(
    [...Array.from({ length: 700 }, (_, index) => `s${index}`), "s0"].sort(),
  );
  await tracing.shutdown(5000);
  expect(await readdir(folder)).toEqual(["app.mjs"]);
  await rm(folder, { recursive: true });
});

test("a collector that is away costs what the queue does not hold, and shutdown ends in time", async () => {
  const tracing = await openTracing({
    resource: {},
    endpoint: "http://127.0.0.1:9",
    maxQueueSize: 20,
    maxExportBatchSize: 10,
  });
  startAndEnd(100);
  await vi.waitFor(async () =>
    expect(await tracing.totals()).toMatchObject({ queued: 20, dropped: new Map([["queue_full", 80]]) }),
  );
  await tracing.shutdown(10);
});
