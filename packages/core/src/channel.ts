/**
 * The one typed message channel to worker threads: calls with a result, and events the other way.
 * Errors cross with their code and hint, so a failure in a worker reads as if it had happened here.
 */
import type { MessagePort, Transferable, Worker } from "node:worker_threads";
import { coreFail, type ExitCode, messageOf, X0Error } from "./errors.ts";

/** What a worker offers: `calls` by name, `events` that it sends unasked. */
export interface ChannelContract {
  // biome-ignore lint/suspicious/noExplicitAny: arguments are checked by the contract that extends this one
  readonly calls: Readonly<Record<string, (argument: any) => unknown>>;
  readonly events: Readonly<Record<string, unknown>>;
}

type Argument<C extends ChannelContract, Name extends keyof C["calls"]> = Parameters<C["calls"][Name]>[0];
type Result<C extends ChannelContract, Name extends keyof C["calls"]> = Awaited<ReturnType<C["calls"][Name]>>;

export interface Channel<C extends ChannelContract> {
  /**
   * @param transfer what the worker takes over instead of a copy
   * @throws what the worker threw; X0_CORE_CHANNEL_CLOSED if it ended first.
   */
  call<Name extends keyof C["calls"] & string>(
    name: Name,
    argument: Argument<C, Name>,
    transfer?: readonly Transferable[],
  ): Promise<Result<C, Name>>;
  /** @returns what ends the listening. */
  on<Name extends keyof C["events"] & string>(
    name: Name,
    listener: (payload: C["events"][Name]) => void,
  ): () => void;
  /** Settles when the worker ends, with the error that ended it if there was one. */
  readonly closed: Promise<Error | undefined>;
}

export interface ChannelServer<C extends ChannelContract> {
  emit<Name extends keyof C["events"] & string>(
    name: Name,
    payload: C["events"][Name],
    transfer?: readonly Transferable[],
  ): void;
}

export type ChannelHandlers<C extends ChannelContract> = {
  readonly [Name in keyof C["calls"]]: (
    argument: Argument<C, Name>,
  ) => Result<C, Name> | Promise<Result<C, Name>>;
};

interface WireError {
  readonly message: string;
  readonly code?: string;
  readonly exit?: ExitCode;
  readonly hint?: string | undefined;
}
type Wire =
  | { readonly kind: "call"; readonly id: number; readonly name: string; readonly argument: unknown }
  | { readonly kind: "result"; readonly id: number; readonly value: unknown }
  | { readonly kind: "error"; readonly id: number; readonly error: WireError }
  | { readonly kind: "event"; readonly name: string; readonly payload: unknown };

/** The caller's side, over a worker that answers with `serveChannel`. */
export function openChannel<C extends ChannelContract>(worker: Worker): Channel<C> {
  interface Pending {
    resolve(value: unknown): void;
    reject(error: Error): void;
  }
  const pending = new Map<number, Pending>();
  const listeners = new Map<string, ((payload: never) => void)[]>();
  let nextId = 1;
  let ended: Error | undefined;
  let failure: Error | undefined;
  const { promise: closed, resolve: settle } = Promise.withResolvers<Error | undefined>();
  worker.on("message", (wire: Wire) => {
    if (wire.kind === "event") {
      for (const listener of listeners.get(wire.name) ?? []) listener(wire.payload as never);
    } else if (wire.kind !== "call") {
      const call = pending.get(wire.id);
      pending.delete(wire.id);
      if (wire.kind === "result") call?.resolve(wire.value);
      else call?.reject(revive(wire.error));
    }
  });
  worker.on("error", (error) => {
    failure = error instanceof Error ? error : new Error(String(error));
  });
  worker.on("exit", (code) => {
    ended = coreFail("X0_CORE_CHANNEL_CLOSED", `the worker ended with code ${code}`, { cause: failure });
    for (const call of pending.values()) call.reject(ended);
    pending.clear();
    settle(failure);
  });
  return {
    call(name, argument, transfer) {
      if (ended !== undefined) return Promise.reject(ended);
      const id = nextId++;
      return new Promise((resolve, reject) => {
        // Throws on what cannot be cloned: then nothing is pending.
        worker.postMessage({ kind: "call", id, name, argument } satisfies Wire, transfer ?? []);
        pending.set(id, { resolve: resolve as (value: unknown) => void, reject });
      });
    },
    on(name, listener) {
      const added = listener as (payload: never) => void;
      listeners.set(name, [...(listeners.get(name) ?? []), added]);
      return () => {
        listeners.set(
          name,
          (listeners.get(name) ?? []).filter((other) => other !== added),
        );
      };
    },
    closed,
  };
}

/** The worker's side: answers calls on its parent port. */
export function serveChannel<C extends ChannelContract>(
  port: MessagePort,
  handlers: ChannelHandlers<C>,
): ChannelServer<C> {
  port.on("message", (wire: Wire) => {
    if (wire.kind !== "call") return;
    const { id, name, argument } = wire;
    Promise.resolve()
      .then(() => (handlers[name as keyof C["calls"]] as (argument: unknown) => unknown)(argument))
      .then((value) => port.postMessage({ kind: "result", id, value } satisfies Wire))
      // Also when the result cannot be cloned: the call fails, not the worker.
      .catch((error: unknown) =>
        port.postMessage({ kind: "error", id, error: flatten(error) } satisfies Wire),
      );
  });
  return {
    emit(name, payload, transfer) {
      port.postMessage({ kind: "event", name, payload } satisfies Wire, transfer ?? []);
    },
  };
}

function flatten(error: unknown): WireError {
  if (error instanceof X0Error)
    return { message: error.message, code: error.code, exit: error.exit, hint: error.hint };
  return { message: messageOf(error) };
}

function revive(error: WireError): Error {
  if (error.code === undefined || error.exit === undefined) return new Error(error.message);
  return new X0Error(error.code, error.exit, error.message, { hint: error.hint });
}
