/**
 * gRPC over HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), the part that a server of unary
 * calls and answers in streams needs, on Node's own HTTP/2. `node:http2` is loaded by the first connection: an agent to
 * which nobody talks does not pay for it.
 */
import { once } from "node:events";
import type { Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { createServer, type Server, type Socket } from "node:net";
import type { ByteWriter } from "@x0tta6bl4/core";
import { reserve } from "@x0tta6bl4/core";
import { messageLimits } from "./codec.ts";

/** https://grpc.io/docs/guides/status-codes/ */
export const status = {
  ok: 0,
  cancelled: 1,
  invalidArgument: 3,
  notFound: 5,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
} as const;

/** A call that ends with another status than ok. */
export class GrpcError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export interface AnswerStream {
  /** Aborts when the client has gone or the server stops. */
  readonly signal: AbortSignal;
  /** Tells the client that its call is accepted, before there is anything to send. */
  accept(): void;
  /** Sends framed messages; resolves when the client takes more. */
  send(frames: Buffer): Promise<void>;
}

export type Method =
  | { readonly kind: "unary"; readonly answer: (request: Buffer) => Buffer }
  | {
      readonly kind: "stream";
      /** Ends the call when it resolves. @throws GrpcError */
      readonly answer: (request: Buffer, stream: AnswerStream) => Promise<void>;
    };

export const serverLimits = {
  /** Connections at once: a person has a handful, and each costs a session's buffers. */
  connections: 64,
  /** Calls at once on a connection, and on all of them: each follower costs time on every flow. */
  streams: 32,
  calls: 128,
  /** Bytes of a request's header block: those of gRPC are below 500. */
  headerBytes: 8192,
} as const;

const FRAME_HEADER = 5;

/** Begins a message in a stream of them; give the result to `endFrame`. */
export function beginFrame(writer: ByteWriter): number {
  reserve(writer, FRAME_HEADER);
  const at = writer.length;
  writer.bytes[at] = 0;
  writer.length += FRAME_HEADER;
  return at;
}

export function endFrame(writer: ByteWriter, at: number): void {
  writer.bytes.writeUInt32BE(writer.length - at - FRAME_HEADER, at + 1);
}

export interface GrpcServer {
  readonly port: number;
  /** Ends all calls and connections. */
  close(): Promise<void>;
}

/**
 * @param methods by path: `/observer.Observer/GetFlows`
 * @throws the system's error of `listen`
 */
export async function serveGrpc(
  address: { readonly host: string; readonly port: number },
  methods: ReadonlyMap<string, Method>,
): Promise<GrpcServer> {
  const sockets = new Set<Socket>();
  const stopped = new AbortController();
  let http2: Promise<Http2Server> | undefined;
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    // A client that goes away is no error of ours.
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    http2 ??= openHttp2(methods, stopped.signal);
    void http2.then((sessions) => sessions.emit("connection", socket));
  });
  server.maxConnections = serverLimits.connections;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(address.port, address.host, resolve);
  });
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound !== null ? bound.port : address.port,
    async close() {
      stopped.abort();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function openHttp2(methods: ReadonlyMap<string, Method>, stopped: AbortSignal): Promise<Http2Server> {
  const { createServer: createHttp2Server } = await import("node:http2");
  const sessions = createHttp2Server({
    maxHeaderListPairs: 64,
    settings: { maxConcurrentStreams: serverLimits.streams, maxHeaderListSize: serverLimits.headerBytes },
  });
  sessions.on("sessionError", () => {});
  let calls = 0;
  sessions.on("stream", (stream, headers) => {
    calls++;
    stream.once("close", () => calls--);
    void serve(stream, headers, calls > serverLimits.calls ? undefined : methods, stopped);
  });
  return sessions;
}

/** @param methods undefined for a call too many. */
async function serve(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  methods: ReadonlyMap<string, Method> | undefined,
  stopped: AbortSignal,
): Promise<void> {
  const gone = new AbortController();
  stream.on("error", () => {}).on("close", () => gone.abort());
  if (headers[":method"] !== "POST" || !headers["content-type"]?.startsWith("application/grpc")) {
    stream.respond({ ":status": 415 }, { endStream: true });
    return;
  }
  try {
    // No page in a browser has business here.
    if (headers["origin"] !== undefined) throw new GrpcError(status.unimplemented, "not for browsers");
    if (methods === undefined)
      throw new GrpcError(
        status.resourceExhausted,
        `${serverLimits.calls} calls are answered at once, no more`,
      );
    const path = headers[":path"] ?? "";
    const method = methods.get(path);
    if (method === undefined) throw new GrpcError(status.unimplemented, `${path} is not served here`);
    const request = await readRequest(stream);
    if (method.kind === "unary") {
      const message = method.answer(request);
      begin(stream);
      const frame = Buffer.alloc(FRAME_HEADER + message.length);
      frame.writeUInt32BE(message.length, 1);
      message.copy(frame, FRAME_HEADER);
      stream.write(frame);
    } else {
      const signal = AbortSignal.any([gone.signal, stopped]);
      const accept = (): void => begin(stream);
      await method.answer(request, { signal, accept, send: (frames) => send(stream, frames, signal) });
      accept();
    }
    end(stream, status.ok, "");
  } catch (error) {
    if (error instanceof GrpcError) end(stream, error.code, error.message);
    else end(stream, status.internal, "the call failed");
  }
}

/** The one message of a request. @throws GrpcError */
async function readRequest(stream: ServerHttp2Stream): Promise<Buffer> {
  const bytes = await readToEnd(stream, messageLimits.bytes + FRAME_HEADER);
  if (bytes.length < FRAME_HEADER || bytes.readUInt32BE(1) !== bytes.length - FRAME_HEADER)
    throw new GrpcError(status.invalidArgument, "the request is not one message");
  if (bytes[0] !== 0) throw new GrpcError(status.unimplemented, "compressed messages are not read");
  return bytes.subarray(FRAME_HEADER);
}

/** By events: an iterator that is left early would destroy the stream, and the client would never learn why. */
function readToEnd(stream: ServerHttp2Stream, most: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    stream.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size <= most) chunks.push(chunk);
      else
        reject(new GrpcError(status.resourceExhausted, `a request has at most ${messageLimits.bytes} bytes`));
    });
    stream.once("end", () => resolve(Buffer.concat(chunks)));
    stream.once("close", () => reject(new GrpcError(status.cancelled, "the client has gone")));
  });
}

function begin(stream: ServerHttp2Stream): void {
  if (stream.headersSent || stream.closed || stream.destroyed) return;
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
}

async function send(stream: ServerHttp2Stream, frames: Buffer, signal: AbortSignal): Promise<void> {
  begin(stream);
  if (signal.aborted || stream.write(frames)) return;
  // Rejects when the client goes away, which the caller sees by its signal.
  await once(stream, "drain", { signal }).catch(() => {});
}

function end(stream: ServerHttp2Stream, code: number, message: string): void {
  if (stream.closed || stream.destroyed) return;
  const trailers = { "grpc-status": String(code), "grpc-message": percentEncoded(message) };
  if (!stream.headersSent) {
    stream.respond({ ":status": 200, "content-type": "application/grpc", ...trailers }, { endStream: true });
    return;
  }
  stream.once("wantTrailers", () => stream.sendTrailers(trailers));
  stream.end();
}

/** What is not printable ASCII, and the percent sign itself, as %XX. */
function percentEncoded(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) =>
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
    )
    .join("");
}
