/**
 * The agent's HTTP: one fastify application behind two listeners, loopback TCP and the Unix socket of the data
 * folder. Access is decided in `access.ts`, routes come from the parts, and this file joins the two.
 */
import { once } from "node:events";
import { rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type AnyRoute, type Log, messageOf, type Route, type X0Error } from "@x0tta6bl4/core";
import { nodeMetrics, type Registry } from "@x0tta6bl4/telemetry";
import { type FastifyInstance, fastify } from "fastify";
import { z } from "zod";
import type { ListenAddress } from "../config/listen.ts";
import { nodeFail } from "../errors.ts";
import { type DataFolder, shareWithGroup } from "../folder.ts";
import { createAccess } from "./access.ts";
import type { ConsoleFiles } from "./console.ts";
import { failureOf } from "./failure.ts";
import { openApi } from "./openapi.ts";
import { signInPage, unbuiltPage } from "./pages.ts";
import { addRoute } from "./routes.ts";

export interface HttpOptions {
  readonly listen: ListenAddress;
  readonly folder: DataFolder;
  readonly token: string;
  readonly version: string;
  /** Operations of the parts; they answer only while the agent is `running`. */
  readonly routes: readonly AnyRoute[];
  /** Operations of the node itself, which always answer. */
  readonly ownRoutes: readonly Route[];
  readonly registry: Registry;
  readonly console: ConsoleFiles;
  readonly log: Log;
  phase(): Phase;
  /** What `/readyz` complains of, if of anything. */
  notReady(): string | undefined;
  /** Between two comments on a quiet stream; proxies cut a silent connection after 30 to 60 s. */
  readonly keepAliveMs?: number;
}

export type Phase = "starting" | "running" | "stopping";

export interface HttpServer {
  readonly address: ListenAddress;
  /** Ends the streams and refuses new requests; what is under way may finish. */
  drain(): void;
  close(): Promise<void>;
}

declare module "fastify" {
  interface FastifyContextConfig {
    open?: boolean;
    streams?: boolean;
  }
}

/** Fits every request of the API; uploads have routes with limits of their own. */
const maxBodyBytes = 1024 * 1024;
/** A console, a scraper and some commands; a local program that opens more is a mistake or an attack. */
const maxConnections = 512;

const anyObject = z.record(z.string(), z.unknown());

const pageHeaders = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "cache-control": "no-store",
};

function unused(): never {
  throw new Error("routes are validated by their zod schemas, not by fastify");
}

/** In place of ajv and fast-json-stringify, which fastify loads otherwise, whether or not a route needs them. */
const noCompilers = { buildValidator: unused, buildSerializer: unused };

/** @throws X0_NODE_PORT_IN_USE, X0_NODE_SOCKET */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const { folder, log } = options;
  const stopping = new AbortController();
  const app = fastify({ bodyLimit: maxBodyBytes, schemaController: { compilersFactory: noCompilers } });
  const tcp = createServer((request, response) => app.routing(request, response));
  const unix = createServer((request, response) => app.routing(request, response));
  const viaUnix = new WeakSet<Socket>();
  unix.on("connection", (socket: Socket) => viaUnix.add(socket));
  let bound = options.listen;
  guard(
    app,
    options,
    (socket) => (viaUnix.has(socket) ? "unix" : "tcp"),
    () => bound,
  );
  addOwnRoutes(app, options);
  const dropped = options.registry.counter(nodeMetrics.httpStreamDropped);
  const common = {
    stopping: stopping.signal,
    log,
    keepAliveMs: options.keepAliveMs ?? 15_000,
    onDropped: (route: string, count: number) => dropped.add({ route }, count),
  };
  for (const route of options.routes)
    addRoute(app, route, { ...common, checkReady: () => checkPhase(options.phase()) });
  for (const route of [...options.ownRoutes, openApiRoute(options)])
    addRoute(app, route, { ...common, checkReady: () => {} });
  await app.ready();
  for (const server of [tcp, unix]) server.maxConnections = maxConnections;
  bound = await listenTcp(tcp, options.listen);
  try {
    await listenUnix(unix, folder);
  } catch (error) {
    await closeServer(tcp);
    throw error;
  }
  return {
    address: bound,
    drain: () => stopping.abort(),
    async close() {
      stopping.abort();
      await Promise.all([closeServer(tcp), closeServer(unix)]);
      await app.close();
    },
  };
}

/** Headers, access, figures and errors: what holds for every request. */
function guard(
  app: FastifyInstance,
  { token, folder, registry, log }: HttpOptions,
  transportOf: (socket: Socket) => "tcp" | "unix",
  address: () => ListenAddress,
): void {
  const access = createAccess(token, folder.tokenFile);
  app.addHook("onRequest", async (request, reply) => {
    reply.headers(pageHeaders);
    const { method, url, headers, raw } = request;
    const open = request.routeOptions.config.open === true;
    const decision = access.decide(
      { method, url, headers, open, transport: transportOf(raw.socket) },
      address(),
    );
    if (decision.kind === "deny") throw decision.error;
    if (decision.kind === "signIn") return reply.header("set-cookie", decision.cookie).redirect("/", 303);
    return undefined;
  });
  const requests = registry.counter(nodeMetrics.httpRequests);
  const duration = registry.histogram(nodeMetrics.httpDuration);
  app.addHook("onResponse", async (request, reply) => {
    const { method } = request;
    const route = request.routeOptions.url ?? "unmatched";
    requests.add({ route, method, status: String(reply.raw.statusCode) }, 1);
    // How long a stream was open says nothing of how quick it is.
    if (request.routeOptions.config.streams !== true)
      duration.observe({ route, method }, reply.elapsedTime / 1000);
  });
  app.setErrorHandler((error, request, reply) => {
    const { status, body } = failureOf(error);
    if (body.error.code === "X0_NODE_INTERNAL")
      log.error("request failed", { path: request.routeOptions.url, reason: messageOf(error) });
    const isPage = request.method === "GET" && request.headers.accept?.includes("text/html") === true;
    if (status === 401) {
      reply.header("www-authenticate", "Bearer");
      if (isPage) return reply.code(401).type("text/html; charset=utf-8").send(signInPage(folder.tokenFile));
    }
    return reply.code(status).send(body);
  });
  app.setNotFoundHandler((request) => {
    throw notFound(request.method, request.url);
  });
}

function addOwnRoutes(app: FastifyInstance, options: HttpOptions): void {
  const config = { open: true };
  app.get("/healthz", { config }, async (_request, reply) => reply.type("text/plain").send("ok\n"));
  app.get("/readyz", { config }, async (_request, reply) => {
    const reason = options.notReady();
    return reply
      .type("text/plain")
      .code(reason === undefined ? 200 : 503)
      .send(`${reason ?? "ready"}\n`);
  });
  app.get("/metrics", { config }, async (request, reply) => {
    const { contentType, body } = await options.registry.expose(request.headers.accept);
    return reply.header("content-type", contentType).header("vary", "accept").send(body);
  });
  app.get("/*", async (request, reply) => {
    const path = request.url.split("?", 1)[0] ?? "/";
    const file = await options.console.find(path);
    if (file === undefined && path === "/")
      return reply.code(503).type("text/html; charset=utf-8").send(unbuiltPage());
    if (file === undefined) throw notFound(request.method, path);
    reply.header("etag", file.etag).header("cache-control", "no-cache");
    if (request.headers["if-none-match"] === file.etag) return reply.code(304).send();
    return reply.header("content-type", file.type).send(file.body);
  });
}

function checkPhase(phase: Phase): void {
  if (phase === "running") return;
  throw nodeFail("X0_NODE_NOT_READY", `the agent is ${phase}`, { hint: "try again in a moment" });
}

function openApiRoute({ routes, ownRoutes, version }: HttpOptions): Route {
  let document: Record<string, unknown> | undefined;
  const self: Route = {
    kind: "json",
    method: "GET",
    path: "/api/v1/openapi.json",
    summary: "This API as an OpenAPI 3.1 document.",
    response: anyObject,
    handle: async () => {
      document ??= openApi([...ownRoutes, self, ...routes], version);
      return document;
    },
  };
  return self;
}

function notFound(method: string, path: string): X0Error {
  return nodeFail("X0_NODE_NOT_FOUND", `nothing answers ${method} ${path.split("?", 1)[0]}`, {
    hint: "GET /api/v1/openapi.json lists what there is",
  });
}

async function listenTcp(server: Server, { host, port }: ListenAddress): Promise<ListenAddress> {
  try {
    server.listen({ host, port });
    await once(server, "listening");
    return { host, port: (server.address() as AddressInfo).port };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EADDRINUSE")
      throw nodeFail("X0_NODE_PORT_IN_USE", `port ${port} of ${host} is in use by another program`, {
        hint: `find it with \`ss -ltnp sport = :${port}\`, or choose another port: --set node.listen=${host}:${port + 1}`,
        cause: error,
      });
    throw nodeFail("X0_NODE_SOCKET", `cannot listen on ${host}:${port}: ${messageOf(error)}`, {
      hint: "choose another address: --set node.listen=127.0.0.1:4280",
      cause: error,
    });
  }
}

/** The lock on the data folder is held, so a socket that lies there belongs to nobody. */
async function listenUnix(server: Server, { socket, path }: DataFolder): Promise<void> {
  try {
    rmSync(socket, { force: true });
    server.listen({ path: socket });
    await once(server, "listening");
    shareWithGroup(socket, 0o660);
  } catch (error) {
    throw nodeFail("X0_NODE_SOCKET", `cannot listen on ${socket}: ${messageOf(error)}`, {
      hint:
        Buffer.byteLength(socket) > 107
          ? "a Unix socket's path has at most 107 bytes: use a shorter data folder (--data-dir)"
          : `check the permissions of ${path}`,
      cause: error,
    });
  }
}

async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}
