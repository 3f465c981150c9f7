/** A relay that holds everything back for a while, each way; TCP stays in order, UDP may overtake under jitter. */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, isIPv6, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Random, seededRandom } from "@x0tta6bl4/core";
import type { ScriptContract } from "../process.ts";
import { serveScript } from "./serve.ts";

export interface RelayOptions {
  readonly protocol: "tcp" | "udp";
  readonly listen: { readonly host: string; readonly port: number };
  readonly target: { readonly host: string; readonly port: number };
  /** Least delay, one way. */
  readonly delayMs: number;
  /** What is added to it at most, uniformly; default 0. */
  readonly jitterMs?: number;
  /** Of the jitter; default 1. */
  readonly seed?: number;
}

export interface RelayReport {
  /** Pieces relayed: datagrams, or reads from a stream. */
  readonly forward: number;
  readonly back: number;
}

export interface RelayContract extends ScriptContract {
  readonly argument: RelayOptions;
  readonly ready: { readonly port: number };
  readonly result: RelayReport;
}

/** What a TCP direction may hold back before it stops reading. */
const heldBytes = 2 ** 20;

serveScript<RelayContract>(async (options, parent) => {
  const random = seededRandom(options.seed ?? 1);
  const report = { forward: 0, back: 0 };
  const relay = options.protocol === "tcp" ? relayTcp : relayUdp;
  const port = await relay(options, random, report);
  parent.ready({ port });
  await parent.finished;
  return report;
});

type Counts = { -readonly [Way in keyof RelayReport]: RelayReport[Way] };

async function relayTcp(options: RelayOptions, random: Random, counts: Counts): Promise<number> {
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const target = connect({ ...options.target, noDelay: true, allowHalfOpen: true });
    pipe(client, target, "forward");
    pipe(target, client, "back");
  });
  const pipe = (from: Socket, to: Socket, way: keyof Counts): void => {
    let turn: Promise<void> = Promise.resolve();
    let held = 0;
    const later = (action: () => void): void => {
      const due = dueAt(options, random);
      turn = turn.then(() => until(due)).then(action);
    };
    from.on("data", (data) => {
      counts[way]++;
      held += data.length;
      if (held > heldBytes) from.pause();
      later(() => {
        held -= data.length;
        if (held <= heldBytes) from.resume();
        if (!to.destroyed) to.write(data);
      });
    });
    from.on("end", () => later(() => to.end()));
    from.on("error", () => later(() => to.resetAndDestroy()));
  };
  await once(server.listen(options.listen.port, options.listen.host), "listening");
  return (server.address() as AddressInfo).port;
}

async function relayUdp(options: RelayOptions, random: Random, counts: Counts): Promise<number> {
  const { listen, target } = options;
  const type = isIPv6(listen.host) ? "udp6" : "udp4";
  const server = createSocket(type);
  const upstreams = new Map<string, UdpSocket>();
  const upstream = (client: RemoteInfo): UdpSocket => {
    const key = `${client.address} ${client.port}`;
    const known = upstreams.get(key);
    if (known !== undefined) return known;
    const made = createSocket(isIPv6(target.host) ? "udp6" : "udp4");
    made.on("message", (data) => {
      counts.back++;
      void until(dueAt(options, random)).then(() => server.send(data, client.port, client.address));
    });
    upstreams.set(key, made);
    return made;
  };
  server.on("message", (data, client) => {
    counts.forward++;
    void until(dueAt(options, random)).then(() => upstream(client).send(data, target.port, target.host));
  });
  await once(server.bind(listen.port, listen.host), "listening");
  return server.address().port;
}

function dueAt({ delayMs, jitterMs = 0 }: RelayOptions, random: Random): number {
  return performance.now() + delayMs + random.next() * jitterMs;
}

/** Never too early: a timer rounds to milliseconds and may fire before its time. */
async function until(due: number): Promise<void> {
  for (let left = due - performance.now(); left > 0; left = due - performance.now())
    await sleep(Math.ceil(left));
}
