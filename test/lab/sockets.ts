/**
 * One side of real connections: sockets that a test opens, writes to and listens at, in a namespace of its own. They
 * live in a process a namespace, `children/sockets.ts`.
 */
import { setTimeout } from "node:timers/promises";
import type { Opening, SocketsContract } from "./children/sockets.ts";
import { type Places, startScript } from "./process.ts";

export interface Sockets extends AsyncDisposable {
  /** A socket that waits for others: a TCP listener, or a bound UDP socket. */
  listen(protocol: "tcp" | "udp", host: string, port: number): Promise<Talker>;
  /** One that has turned to another, TCP once it is established. @param port of its own, 0 for any */
  dial(
    protocol: "tcp" | "udp",
    to: { readonly host: string; readonly port: number },
    port?: number,
  ): Promise<Talker>;
  /** Whether a server says that to a new connection within that time. */
  isGreeted(
    to: { readonly host: string; readonly port: number },
    greeting: string,
    patienceMs: number,
  ): Promise<boolean>;
}

export interface Talker {
  readonly port: number;
  /** All that has come, from whomever. */
  heard(): string;
  /** Resolves once what has come has the text in it. */
  hears(text: string): Promise<void>;
  /** Codes of its errors: `ECONNREFUSED`. */
  fails(): Promise<string>;
  /** To whom it is connected; of a socket that waits: to all it has accepted, or to who wrote last. */
  say(text: string, to?: { readonly host: string; readonly port: number }): void;
  close(): void;
}

export async function openSockets(places: Places): Promise<Sockets> {
  const script = await startScript<SocketsContract>(
    new URL("./children/sockets.ts", import.meta.url),
    undefined,
    {
      places,
    },
  );
  const listeners = new Map<number, (event: SocketsContract["event"]) => void>();
  script.on((event) => listeners.get(event.id)?.(event));
  let ids = 0;
  const open = (opening: Opening, id = ++ids): Promise<Talker> => {
    const opened = Promise.withResolvers<Talker>();
    const failed = Promise.withResolvers<string>();
    opened.promise.catch(() => {});
    let text = "";
    const waiting = new Map<() => void, string>();
    const talker = (port: number): Talker => ({
      port,
      heard: () => text,
      hears: (wanted) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        waiting.set(resolve, wanted);
        if (text.includes(wanted)) resolve();
        return promise;
      },
      fails: () => failed.promise,
      say: (words, to) => script.order({ id, kind: "say", words, to }),
      close: () => script.order({ id, kind: "close" }),
    });
    listeners.set(id, (event) => {
      if (event.kind === "open") opened.resolve(talker(event.port));
      else if (event.kind === "error") {
        failed.resolve(event.code);
        opened.reject(
          new Error(`${opening.kind} ${opening.protocol} ${opening.host} ${opening.port}: ${event.code}`),
        );
      } else {
        text += event.text;
        for (const [resolve, wanted] of waiting) if (text.includes(wanted)) resolve();
      }
    });
    script.order({ id, kind: "open", opening });
    return opened.promise;
  };
  return {
    listen: (protocol, host, port) => open({ kind: "listen", protocol, host, port, own: 0 }),
    dial: (protocol, { host, port }, own = 0) => open({ kind: "dial", protocol, host, port, own }),
    async isGreeted({ host, port }, greeting, patienceMs) {
      const id = ++ids;
      const dialed = open({ kind: "dial", protocol: "tcp", host, port, own: 0 }, id);
      const greeted = dialed.then((talker) => talker.hears(greeting)).then(() => true);
      const isGreeted = await Promise.race([
        greeted.catch(() => false),
        setTimeout(patienceMs, false, { ref: false }),
      ]);
      script.order({ id, kind: "close" });
      return isGreeted;
    },
    [Symbol.asyncDispose]: () => script[Symbol.asyncDispose](),
  };
}
