import type { z } from "zod";

interface Described {
  readonly path: `/${string}`;
  readonly summary: string;
  /** An object schema over the query string: each value arrives as a string. */
  readonly query?: z.ZodObject;
  /** `open` routes answer without a token on loopback; all others need one. Default `token`. */
  readonly access?: "open" | "token";
}

export interface RouteRequest {
  /** The parsed query, of the shape of the route's schema. */
  readonly query: unknown;
  readonly body: unknown;
  /** Aborted when the client goes away or the node stops. */
  readonly signal: AbortSignal;
  /** Over which TCP connection it came; undefined where by the Unix socket. */
  readonly connection?: Connection;
}

/** As this host sees it. */
export interface Connection {
  readonly local: { readonly ip: string; readonly port: number };
  readonly remote: { readonly ip: string; readonly port: number };
}

/** One JSON operation. `node` serves it and derives the OpenAPI document from the same schemas. */
export interface Route extends Described {
  readonly kind: "json";
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly body?: z.ZodType;
  /** Default 1 MiB. */
  readonly maxBodyBytes?: number;
  readonly response: z.ZodType;
  handle(request: RouteRequest): Promise<unknown>;
}

export interface StreamEvent {
  readonly event: string;
  readonly data: unknown;
}

/** A file that grows while it is read: GET, and the client takes it at its own pace. */
export interface BytesRoute extends Described {
  readonly kind: "bytes";
  readonly contentType: string;
  /**
   * The answer begins with the first chunk: what fails before it is an answer of its own. The iterable goes on only
   * as the client reads, and ends soon when the request's signal aborts.
   */
  open(request: RouteRequest): AsyncIterable<Uint8Array>;
}

export type AnyRoute = Route | StreamRoute | BytesRoute;

/** Server-sent events: GET, one event for each value of the iterable, each `data` one JSON document. */
export interface StreamRoute extends Described {
  readonly kind: "stream";
  readonly events: Readonly<Record<string, z.ZodType>>;
  open(request: RouteRequest): AsyncIterable<StreamEvent>;
}
