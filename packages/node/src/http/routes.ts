/**
 * A part's operations on the server. Each of the three kinds (JSON, server-sent events, bytes) is checked against its
 * schemas and handed to the part; an answer that goes on for long begins only when its source has begun.
 */
import type { OutgoingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import {
  type AnyRoute,
  type BytesRoute,
  type Connection,
  type Log,
  nearest,
  type RouteRequest,
  type StreamRoute,
} from "@x0tta6bl4/core";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { nodeFail } from "../errors.ts";
import { sendBytes } from "./bytes.ts";
import { sendEvents } from "./events.ts";

export interface RouteOptions {
  /** Aborted when the agent stops. */
  readonly stopping: AbortSignal;
  readonly log: Log;
  readonly keepAliveMs: number;
  /** @throws X0_NODE_NOT_READY while the operation cannot be served. */
  checkReady(): void;
  onDropped(route: string, count: number): void;
}

/** Events that wait for one slow client: at about 1 kB each, what one browser tab may cost. */
const streamCapacity = 1024;

/** Puts a part's operation on the server: validates, hands over, answers. */
export function addRoute(app: FastifyInstance, route: AnyRoute, options: RouteOptions): void {
  const config = { open: route.access === "open", streams: route.kind !== "json" };
  if (route.kind !== "json") {
    const handler = (request: FastifyRequest, reply: FastifyReply) =>
      route.kind === "stream"
        ? stream(route, request, reply, options)
        : bytes(route, request, reply, options);
    app.route({ method: "GET", url: route.path, config, exposeHeadRoute: false, handler });
  } else {
    app.route({
      method: route.method,
      url: route.path,
      config,
      ...(route.maxBodyBytes === undefined ? {} : { bodyLimit: route.maxBodyBytes }),
      handler: async (request, reply) => {
        options.checkReady();
        const result = await route.handle(parse(route, request, reply, options));
        return reply.type("application/json; charset=utf-8").send(JSON.stringify(result));
      },
    });
  }
}

async function stream(
  route: StreamRoute,
  request: FastifyRequest,
  reply: FastifyReply,
  options: RouteOptions,
): Promise<void> {
  options.checkReady();
  const parsed = parse(route, request, reply, options);
  const iterator = route.open(parsed)[Symbol.asyncIterator]();
  const first = iterator.next();
  // A filter that cannot be read fails at once: that is an answer of its own, before any header is sent.
  await Promise.race([first, setImmediate()]);
  reply.hijack();
  reply.raw.writeHead(200, {
    ...(reply.getHeaders() as OutgoingHttpHeaders),
    "content-type": "text/event-stream; charset=utf-8",
    "x-accel-buffering": "no",
  });
  reply.raw.flushHeaders();
  await sendEvents(reply.raw, resume(first, iterator), {
    signal: parsed.signal,
    keepAliveMs: options.keepAliveMs,
    capacity: streamCapacity,
    onDropped: (count) => options.onDropped(route.path, count),
    onFailure: (error) => options.log.error("stream failed", { path: route.path, reason: String(error) }),
  });
}

async function bytes(
  route: BytesRoute,
  request: FastifyRequest,
  reply: FastifyReply,
  options: RouteOptions,
): Promise<void> {
  options.checkReady();
  const parsed = parse(route, request, reply, options);
  const iterator = route.open(parsed)[Symbol.asyncIterator]();
  const first = iterator.next();
  await first;
  reply.hijack();
  reply.raw.writeHead(200, {
    ...(reply.getHeaders() as OutgoingHttpHeaders),
    "content-type": route.contentType,
  });
  await sendBytes(reply.raw, resume(first, iterator), {
    signal: parsed.signal,
    onFailure: (error) => options.log.error("stream failed", { path: route.path, reason: String(error) }),
  });
}

async function* resume<T>(first: Promise<IteratorResult<T>>, iterator: AsyncIterator<T>): AsyncGenerator<T> {
  try {
    for (let result = await first; result.done !== true; result = await iterator.next()) yield result.value;
  } finally {
    await iterator.return?.();
  }
}

function parse(
  route: AnyRoute,
  request: FastifyRequest,
  reply: FastifyReply,
  { stopping }: RouteOptions,
): RouteRequest {
  const query = check(route.query ?? z.object({}), request.query, "query parameter");
  const body =
    route.kind === "json" && route.body !== undefined ? check(route.body, request.body, "body") : undefined;
  const gone = new AbortController();
  const leave = (): void => gone.abort();
  reply.raw.once("close", leave);
  reply.raw.once("error", leave);
  const signal = AbortSignal.any([gone.signal, stopping]);
  const connection = connectionOf(request.raw.socket);
  return { query, body, signal, ...(connection === undefined ? {} : { connection }) };
}

function connectionOf(socket: Socket): Connection | undefined {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  if (localAddress === undefined || localPort === undefined) return undefined;
  if (remoteAddress === undefined || remotePort === undefined) return undefined;
  return {
    local: { ip: localAddress, port: localPort },
    remote: { ip: remoteAddress, port: remotePort },
  };
}

/** Strict: a parameter that is silently ignored would give an answer to another question. */
function check(schema: z.ZodType, input: unknown, what: string): unknown {
  const strict = schema instanceof z.ZodObject ? schema.strict() : schema;
  const result = strict.safeParse(input);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (issue?.code === "unrecognized_keys" && schema instanceof z.ZodObject) {
    const [key = ""] = issue.keys;
    const known = Object.keys(schema.shape);
    const near = nearest(key, known);
    throw nodeFail("X0_NODE_BAD_REQUEST", `unknown ${what} "${key}"`, {
      hint: near === undefined ? `known are: ${known.join(", ") || "none"}` : `did you mean ${near}?`,
    });
  }
  const place = issue?.path.join(".") ?? "";
  throw nodeFail("X0_NODE_BAD_REQUEST", `${what} ${place}: ${issue?.message ?? "invalid"}`, {
    hint: "GET /api/v1/openapi.json describes it",
  });
}
