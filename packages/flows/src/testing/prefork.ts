/** A server whose parent listens and whose worker accepts and answers; says "WORKER-PID PORT" on stdout. */
import cluster from "node:cluster";
import { type AddressInfo, createServer } from "node:net";

cluster.schedulingPolicy = cluster.SCHED_NONE;
if (cluster.isPrimary) {
  const worker = cluster.fork();
  worker.on("message", (port: number) => process.stdout.write(`${worker.process.pid} ${port}\n`));
} else {
  const server = createServer((socket) => socket.once("data", () => socket.end("served")));
  server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
}
