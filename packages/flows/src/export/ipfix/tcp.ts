/** IPFIX over TCP (RFC 7011 §10.4): one long stream; each connection is a session that begins with templates. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { messageOf } from "@x0tta6bl4/core";
import type { Destination, Outcome } from "@x0tta6bl4/telemetry";
import type { IpfixMessage } from "./messages.ts";
import { openSession, type Session } from "./session.ts";
import type { TransportOptions } from "./udp.ts";

const CONNECT_TIMEOUT_MS = 5000;
/** A peer that vanished without a word is noticed after so long in silence. */
const KEEP_ALIVE_MS = 30_000;
/** As large as still leaves a collector's buffers alone; a message may have 65,535. */
export const TCP_MESSAGE_BYTES = 32 * 1024;

export function tcpDestination(options: TransportOptions): Destination<IpfixMessage> {
  const { host, port, nowMs } = options;
  let open: { readonly socket: Socket; readonly session: Session } | undefined;
  return {
    async deliver(message, signal): Promise<Outcome> {
      try {
        // After a failure half a message may be on its way: only a new connection begins with a whole one.
        if (open?.socket.writable !== true) {
          open?.socket.destroy();
          open = { socket: await connected(host, port, signal), session: openSession(options) };
        }
        const { socket, session } = open;
        await write(socket, session.messages(message, nowMs()), signal);
        return { kind: "delivered" };
      } catch (error) {
        return { kind: "away", problem: messageOf(error) };
      }
    },
    async close() {
      open?.socket.end();
      open = undefined;
    },
  };
}

async function connected(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  const socket = connect({
    host,
    port,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
    noDelay: true,
  });
  try {
    await once(socket, "connect", {
      signal: AbortSignal.any([signal, AbortSignal.timeout(CONNECT_TIMEOUT_MS)]),
    });
  } catch (error) {
    socket.destroy();
    // An abort would only say that it was aborted.
    throw (error as Error).name === "AbortError" ? new Error(`${host}:${port} does not answer`) : error;
  }
  // A failure is told by the write it breaks, or the socket is no longer writable.
  socket.on("error", () => {});
  // A collector has nothing to say; what it says is thrown away rather than left to fill buffers.
  socket.resume();
  return socket.unref();
}

/** Resolves when the kernel has all of it. */
function write(socket: Socket, messages: readonly Uint8Array[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => void socket.destroy(new Error("given up"));
    signal.addEventListener("abort", abort, { once: true });
    socket.cork();
    for (const message of messages.slice(0, -1)) socket.write(message);
    socket.write(messages.at(-1) as Uint8Array, (error) => {
      signal.removeEventListener("abort", abort);
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
    socket.uncork();
  });
}
