/**
 * What a TLS connection says of itself before it is encrypted: the name asked for, whether the true one is hidden,
 * and the version that both agreed on.
 */
import { chosenVersion, handshakeType, parseClientHello } from "./tls-hello.ts";
import { createHandshakeStream, firstHandshake, type HandshakeStream } from "./tls-stream.ts";

/** Bounds of memory: at most `bytes` of segments, and about 300 bytes for each flow. */
export const helloReaderLimits = {
  /** Connections whose hellos are awaited at once, and those just read; beyond, the oldest is given up. */
  flows: 8192,
  /** Held of all connections. */
  bytes: 4 * 1024 * 1024,
  /** Held of one side: a ClientHello with post-quantum keys has 2 KiB, one with a long ticket under 16. */
  messageBytes: 16_384,
  /** Held of one side; a hello of 16 KiB comes in 12. */
  segments: 16,
} as const;

export interface TlsFacts {
  readonly serverName: string | null;
  readonly encryptedHello: boolean;
  /** What the client offered, without GREASE; empty before it was read. */
  readonly offeredVersions: readonly number[];
  /** What the server chose, 0x0304 for TLS 1.3; 0 before its answer, or if it never gave one. */
  readonly version: number;
  /** Nothing more will be told of this flow. */
  readonly isDone: boolean;
}

export interface HelloReader {
  /**
   * One segment of a connection that may be TLS.
   *
   * @param fromOpener of the flow, who should be the client: where the hellos say otherwise (the flow's first packets
   *   were not seen), they are believed; @param sequence TCP sequence number of the first byte; @param bytes only valid
   *   during the call.
   * @returns what is known now, if this told something new.
   */
  feed(flowId: number, fromOpener: boolean, sequence: number, bytes: Uint8Array): TlsFacts | undefined;
  /** The flow has ended, or its facts are no longer wanted. */
  forget(flowId: number): void;
  readonly flows: number;
  readonly heldBytes: number;
}

interface HelloState {
  client: HandshakeStream | undefined;
  server: HandshakeStream | undefined;
  facts: TlsFacts;
  openerIsClient: boolean;
}

const nothing: TlsFacts = {
  serverName: null,
  encryptedHello: false,
  offeredVersions: [],
  version: 0,
  isDone: false,
};

export function createHelloReader(
  limits: { readonly [Name in keyof typeof helloReaderLimits]: number } = helloReaderLimits,
): HelloReader {
  // In the order of their first segment.
  const states = new Map<number, HelloState>();
  let heldBytes = 0;

  const heldBy = ({ client, server }: HelloState): number =>
    (client?.heldBytes() ?? 0) + (server?.heldBytes() ?? 0);

  const drop = (flowId: number): void => {
    const state = states.get(flowId);
    if (state === undefined) return;
    heldBytes -= heldBy(state);
    states.delete(flowId);
  };

  const dropOldest = (): void => {
    for (const oldest of states.keys()) {
      drop(oldest);
      return;
    }
  };

  const begin = (flowId: number): HelloState => {
    if (states.size >= limits.flows) dropOldest();
    const state = {
      client: createHandshakeStream(handshakeType.clientHello, limits),
      server: createHandshakeStream(handshakeType.serverHello, limits),
      facts: nothing,
      openerIsClient: true,
    };
    states.set(flowId, state);
    return state;
  };

  /** One side has said its hello, or never will: its segments are let go. */
  const take = (state: HelloState, side: "client" | "server", body: Uint8Array | "other"): void => {
    state[side] = undefined;
    const told = body === "other" ? undefined : side === "client" ? clientFacts(body) : serverFacts(body);
    const isDone = state.client === undefined && state.server === undefined;
    // Of what is no TLS nothing is told, not even that.
    if (told === undefined && state.facts === nothing) return;
    state.facts = { ...state.facts, ...told, isDone };
  };

  const read = (state: HelloState, fromOpener: boolean, sequence: number, bytes: Uint8Array): void => {
    const type = firstHandshake(bytes);
    if (type === handshakeType.clientHello) state.openerIsClient = fromOpener;
    else if (type === handshakeType.serverHello) state.openerIsClient = !fromOpener;
    const side = fromOpener === state.openerIsClient ? "client" : "server";
    if (type === handshakeType.serverHello) {
      // The server has all of the client's hello: what we lack of it will not come any more.
      const cut = state.client?.flush();
      if (cut !== undefined) take(state, "client", cut);
    }
    const body = state[side]?.add(sequence, bytes);
    if (body !== undefined) take(state, side, body);
  };

  return {
    feed(flowId, fromOpener, sequence, bytes) {
      if (bytes.length === 0) return undefined;
      const state = states.get(flowId) ?? begin(flowId);
      const before = heldBy(state);
      const known = state.facts;
      read(state, fromOpener, sequence, bytes);
      heldBytes += heldBy(state) - before;
      while (heldBytes > limits.bytes) dropOldest();
      return state.facts === known ? undefined : state.facts;
    },
    forget: drop,
    get flows() {
      return states.size;
    },
    get heldBytes() {
      return heldBytes;
    },
  };
}

function clientFacts(body: Uint8Array): Partial<TlsFacts> | undefined {
  const hello = parseClientHello(body);
  if (hello === undefined) return undefined;
  const { serverName, encryptedHello, versions } = hello;
  return { serverName, encryptedHello, offeredVersions: versions };
}

function serverFacts(body: Uint8Array): Partial<TlsFacts> | undefined {
  const version = chosenVersion(body);
  return version === undefined ? undefined : { version };
}
