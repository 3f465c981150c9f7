/** OTLP against an HTTP server that takes only what the specification allows. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { z } from "zod";
import type { ScanEvent } from "../../event.ts";
import { partiesOf } from "../../parties.ts";
import { mixedFlows, testFlow } from "../../testing/flows.ts";
import { batch, figures, openExport } from "../testing/batches.ts";

const text64 = z.string().regex(/^-?\d+$/);
const anyValue = z.union([
  z.strictObject({ stringValue: z.string() }),
  z.strictObject({ boolValue: z.boolean() }),
  z.strictObject({ intValue: text64 }),
  z.strictObject({ doubleValue: z.number() }),
  z.strictObject({
    arrayValue: z.strictObject({ values: z.array(z.strictObject({ stringValue: z.string() })) }),
  }),
]);
const attributes = z.array(z.strictObject({ key: z.string(), value: anyValue }));
/** opentelemetry/proto/collector/logs/v1/logs_service.proto in its JSON form, unknown fields refused. */
const request = z.strictObject({
  resourceLogs: z.array(
    z.strictObject({
      resource: z.strictObject({ attributes }),
      scopeLogs: z.array(
        z.strictObject({
          scope: z.strictObject({ name: z.string(), version: z.string() }),
          logRecords: z.array(
            z.strictObject({
              timeUnixNano: text64,
              observedTimeUnixNano: text64,
              severityNumber: z.number().int(),
              severityText: z.string(),
              eventName: z.string(),
              body: anyValue,
              attributes,
            }),
          ),
        }),
      ),
    }),
  ),
});
type Request = z.infer<typeof request>;

interface Answer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** Answers as told, then with success. */
async function collector(answers: Answer[] = []) {
  const requests: Request[] = [];
  const seen: string[] = [];
  const problems: unknown[] = [];
  const answer = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const parts: Uint8Array[] = [];
    for await (const part of incoming) parts.push(part as Uint8Array);
    const { method, url, headers } = incoming;
    seen.push(`${method} ${url} ${headers["content-type"]} ${headers["content-encoding"]}`);
    try {
      requests.push(request.parse(JSON.parse(gunzipSync(Buffer.concat(parts)).toString())));
    } catch (error) {
      problems.push(error);
    }
    const { status, headers: extra = {}, body = "{}" } = answers.shift() ?? { status: 200 };
    response.writeHead(status, { "content-type": "application/json", ...extra }).end(body);
  };
  const server = createServer((incoming, response) => void answer(incoming, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    seen,
    problems,
    records: () =>
      requests.flatMap((r) => r.resourceLogs.flatMap((l) => l.scopeLogs.flatMap((s) => s.logRecords))),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

const plain = (list: z.infer<typeof attributes>): Record<string, unknown> =>
  Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value)[0]]));

test("flows arrive as valid log records with resource and conventions", async () => {
  await using peer = await collector();
  const sink = openExport({ to: peer.url });
  sink.take(batch([testFlow(), ...mixedFlows(1, 500)], { toMs: 1_795_356_203_500 }), []);
  await sink.close(10_000);
  expect(peer.problems).toEqual([]);
  expect(peer.records().length).toBe(501);
  expect(peer.requests.length).toBeGreaterThan(1);
  expect(new Set(peer.seen)).toEqual(new Set(["POST /v1/logs application/json gzip"]));
  expect(plain(peer.requests[0]?.resourceLogs[0]?.resource.attributes ?? [])).toEqual({
    "service.name": "x0tta6bl4",
    "service.version": "0.1.0",
    "host.name": "edge-1",
  });
  const [first] = peer.records();
  expect(first).toMatchObject({
    timeUnixNano: `${Date.parse("2026-11-22T14:03:23.456Z")}000000`,
    observedTimeUnixNano: "1795356203500000000",
    severityNumber: 9,
    eventName: "x0tta6bl4.flow.end",
    body: { stringValue: "end of a tcp flow 10.0.0.5:51234 -> 192.0.2.9:443" },
  });
  expect(plain(first?.attributes ?? [])).toMatchObject({
    "source.address": "10.0.0.5",
    "source.port": "51234",
    "destination.address": "192.0.2.9",
    "destination.port": "443",
    "network.transport": "tcp",
    "network.type": "ipv4",
    "process.pid": "4711",
    "x0tta6bl4.flow.bytes.received": "84512",
  });
});

test("events are told by their severity; a mask leaves only what it names", async () => {
  await using peer = await collector();
  const fields = ["source.address", "x0tta6bl4.scan.count"];
  const sink = openExport({ to: peer.url, events: ["scan"], fields });
  const scan: ScanEvent = {
    kind: "scan",
    ...partiesOf(testFlow(), "2026-11-22T14:03:22.000Z"),
    scan: "ports",
    count: 120,
    seconds: 60,
  };
  sink.take(batch([testFlow()]), [scan]);
  await sink.close(10_000);
  expect(peer.problems).toEqual([]);
  const [flow, event] = peer.records();
  expect(plain(flow?.attributes ?? [])).toEqual({ "source.address": "10.0.0.5" });
  expect(event).toMatchObject({ severityText: "WARN", eventName: "x0tta6bl4.flow.scan" });
  expect(plain(event?.attributes ?? [])).toEqual({
    "source.address": "10.0.0.5",
    "x0tta6bl4.scan.count": "120",
  });
});

test.each([429, 502, 503, 504])("%i is tried again when Retry-After says", async (status) => {
  await using peer = await collector([
    { status, headers: { "retry-after": "0" } },
    { status, headers: { "retry-after": new Date(0).toUTCString() } },
  ]);
  const sink = openExport({ to: peer.url });
  sink.take(batch([testFlow()]), []);
  await vi.waitFor(() => expect(figures(sink)).toMatchObject({ records: 1, retries: 2 }));
  await sink.close(1000);
  expect(peer.requests.length).toBe(3);
  expect(sink.features()).toMatchObject([{ state: "on" }]);
});

test("Retry-After is waited for", async () => {
  await using peer = await collector([{ status: 429, headers: { "retry-after": "3600" } }]);
  const sink = openExport({ to: peer.url });
  sink.take(batch([testFlow()]), []);
  await vi.waitFor(() => expect(figures(sink)["retries"]).toBe(1));
  // Far longer than the first pause would be without it.
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect(peer.requests.length).toBe(1);
  expect(sink.features()[0]?.reason).toMatch(/answered 429; 1 records wait/);
  await sink.close(10_000);
  expect(peer.requests.length).toBe(2);
});

test.each([400, 401, 404, 413, 500])("%i is final, counted and said", async (status) => {
  await using peer = await collector([{ status, body: '{"code":3,"message":"no such tenant"}' }]);
  const sink = openExport({ to: peer.url });
  sink.take(batch([testFlow(), testFlow({ id: "2" })]), []);
  await sink.close(10_000);
  expect(peer.requests.length).toBe(1);
  expect(figures(sink)).toMatchObject({ records: 0, "dropped_records rejected": 2 });
  expect(sink.features()[0]?.reason).toContain(`answered ${status}: no such tenant`);
});

test("a partial success counts what was refused", async () => {
  const body = JSON.stringify({ partialSuccess: { rejectedLogRecords: "3", errorMessage: "too old" } });
  await using peer = await collector([{ status: 200, body }]);
  const sink = openExport({ to: peer.url });
  sink.take(batch(mixedFlows(1, 10)), []);
  await sink.close(10_000);
  expect(peer.requests.length).toBe(1);
  expect(figures(sink)).toMatchObject({ records: 7, "dropped_records rejected": 3 });
  expect(sink.features()[0]?.reason).toContain("too old");
});

test("a redirect is not followed", async () => {
  await using elsewhere = await collector();
  await using peer = await collector([{ status: 307, headers: { location: `${elsewhere.url}/v1/logs` } }]);
  const sink = openExport({ to: peer.url });
  sink.take(batch([testFlow()]), []);
  await vi.waitFor(() => expect(figures(sink)["retries"]).toBeGreaterThan(0));
  await sink.close(10_000);
  expect(elsewhere.requests).toEqual([]);
});

test("no answer of a server does harm", async () => {
  const bodies = [
    "<html>".repeat(50_000),
    "null",
    '{"partialSuccess":{"rejectedLogRecords":"-5"}}',
    '{"partialSuccess":{"rejectedLogRecords":1e300}}',
    ...fc.sample(fc.json(), { numRuns: 100, seed: 3 }),
    ...fc.sample(fc.string(), { numRuns: 100, seed: 3 }),
  ];
  await using peer = await collector(bodies.map((body) => ({ status: 200, body })));
  const sink = openExport({ to: peer.url });
  for (const _ of bodies) sink.take(batch([testFlow()]), []);
  await sink.close(30_000);
  expect(figures(sink)).toMatchObject({ records: bodies.length, retries: 0 });
});
