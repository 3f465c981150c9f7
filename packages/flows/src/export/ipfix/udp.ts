/** IPFIX over UDP (RFC 7011 §10.3): nothing is acknowledged; templates are repeated. */
import { createSocket, type Socket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "@x0tta6bl4/core";
import type { Destination, Outcome } from "@x0tta6bl4/telemetry";
import type { IpfixMessage } from "./messages.ts";
import { openSession, type SessionOptions } from "./session.ts";

/**
 * IPv6's smallest link MTU less its header and UDP's: fits every path. RFC 7011 §10.3.3 wants the path MTU, which
 * one that only sends does not learn.
 */
export const UDP_MESSAGE_BYTES = 1280 - 40 - 8;
/** After so many a millisecond is waited, or the burst of a second overruns the collector's receive buffer. */
const BURST = 32;
/** A name is looked up again after a failure, but no more often. */
const OLDEST_SOCKET_MS = 30_000;

export interface TransportOptions extends SessionOptions {
  readonly host: string;
  readonly port: number;
  readonly nowMs: () => number;
}

export function udpDestination(options: TransportOptions): Destination<IpfixMessage> {
  const { host, port, nowMs } = options;
  const session = openSession(options);
  let socket: Socket | undefined;
  let openedMs = 0;
  let sent = 0;

  const close = async (): Promise<void> => {
    socket?.close();
    socket = undefined;
  };
  return {
    async deliver(message): Promise<Outcome> {
      if (socket === undefined) {
        try {
          socket = await connected(host, port);
          openedMs = nowMs();
        } catch (error) {
          return { kind: "away", problem: messageOf(error) };
        }
      }
      try {
        for (const bytes of session.messages(message, nowMs())) {
          await send(socket, bytes);
          if (++sent % BURST === 0) await sleep(1);
        }
        return { kind: "delivered" };
      } catch (error) {
        // What is told now is that of an earlier datagram: the peer did not listen then and has no templates.
        session.announce();
        if (Math.abs(nowMs() - openedMs) > OLDEST_SOCKET_MS) await close();
        return { kind: "lost", reason: "unreachable", problem: messageOf(error) };
      }
    },
    close,
  };
}

async function connected(host: string, port: number): Promise<Socket> {
  const { address, family } = await lookup(host);
  const socket = createSocket(family === 6 ? "udp6" : "udp4");
  try {
    socket.connect(port, address);
    await once(socket, "connect");
  } catch (error) {
    socket.close();
    throw error;
  }
  // Errors are told by the sends they belong to; one that comes between is met by the next.
  socket.on("error", () => {});
  // Nothing is awaited from a collector, and it must not hold up the end.
  return socket.unref();
}

function send(socket: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(bytes, (error) => (error === null ? resolve() : reject(error)));
  });
}
