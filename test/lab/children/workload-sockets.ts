/** A process of a workload: serves ports, and knocks at those of others. */
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";
import type { ScriptContract } from "../process.ts";
import { serveScript } from "./serve.ts";

/** A connection, or a datagram; its source port is no other one's. */
export interface Knock {
  readonly protocol: "tcp" | "udp";
  readonly from: string;
  readonly fromPort: number;
  readonly to: string;
  readonly toPort: number;
}

export interface WorkloadSocketsContract extends ScriptContract {
  /** Ports to serve, TCP and UDP, over both IP versions. */
  readonly argument: readonly number[];
  readonly ready: undefined;
  readonly order: readonly Knock[];
  /** Of an order: all were made. */
  readonly event: undefined;
  readonly result: undefined;
}

serveScript<WorkloadSocketsContract>(async (ports, parent) => {
  await Promise.all(ports.map(serve));
  parent.on(async (knocks) => {
    await Promise.all(knocks.map(knock));
    parent.emit(undefined);
  });
  parent.ready(undefined);
  await parent.finished;
  return undefined;
});

async function serve(port: number): Promise<void> {
  const udp = createSocket("udp6");
  const tcp = createServer((socket) => socket.on("error", () => {}).destroy());
  await Promise.all([
    new Promise<void>((resolve) => udp.bind(port, "::", resolve)),
    new Promise<void>((resolve) => void tcp.listen(port, "::", resolve)),
  ]);
}

/** Over loopback the kernel has delivered it, or not, before the call returns. */
function knock({ protocol, from, fromPort, to, toPort }: Knock): Promise<void> {
  return new Promise((resolve) => {
    if (protocol === "tcp") {
      const socket = connect({ host: to, port: toPort, localAddress: from, localPort: fromPort });
      socket.on("error", () => {});
      socket.on("connectionAttempt", () => {
        resolve();
        setImmediate(() => socket.resetAndDestroy());
      });
      return;
    }
    const socket = createSocket(to.includes(":") ? "udp6" : "udp4");
    socket.bind(fromPort, from, () =>
      socket.send("?", toPort, to, () => {
        socket.close();
        resolve();
      }),
    );
  });
}
