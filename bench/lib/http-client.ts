/** Requests at a steady rate over connections that stay, one at a time on each, and how long the answers take. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { serveScript } from "../../test/lab/children/serve.ts";
import type { ScriptContract } from "../../test/lab/process.ts";
import { response } from "./http-server.ts";

export interface HttpWindow {
  readonly seconds: number;
  readonly requestsPerSecond: number;
}

export interface HttpReport {
  readonly requests: number;
  readonly seconds: number;
  /** From the write of a request to the last byte of its answer. */
  readonly medianUs: number;
  readonly p99Us: number;
}

export interface HttpClientContract extends ScriptContract {
  readonly argument: { readonly host: string; readonly port: number; readonly connections: number };
  readonly ready: undefined;
  readonly order: HttpWindow;
  readonly event: HttpReport;
  readonly result: undefined;
}

interface Connection {
  readonly socket: Socket;
  sentAt: number;
  received: number;
}

const request = Buffer.from("GET /things/42?page=1 HTTP/1.1\r\nHost: bench.invalid\r\nAccept: */*\r\n\r\n");

serveScript<HttpClientContract>(async ({ host, port, connections }, parent) => {
  const idle: Connection[] = [];
  let latencies = new Float64Array(0);
  let done = 0;
  for (let index = 0; index < connections; index++) {
    const socket = connect({ host, port, noDelay: true });
    await once(socket, "connect");
    const connection = { socket, sentAt: 0, received: 0 };
    socket.on("data", (bytes) => {
      connection.received += bytes.length;
      if (connection.received < response.length) return;
      connection.received = 0;
      latencies[done++] = performance.now() - connection.sentAt;
      idle.push(connection);
    });
    idle.push(connection);
  }
  const measure = async ({ seconds, requestsPerSecond }: HttpWindow): Promise<HttpReport> => {
    const most = Math.ceil(seconds * requestsPerSecond);
    latencies = new Float64Array(most);
    done = 0;
    let sent = 0;
    const began = performance.now();
    while (sent < most) {
      const now = performance.now();
      const due = Math.min(most, Math.floor(((now - began) / 1000) * requestsPerSecond));
      if (now - began > seconds * 1000 && sent === done) break;
      // After its time nothing new begins: what this machine could not give is not sent.
      while (sent < due && idle.length > 0 && now - began <= seconds * 1000) {
        const connection = idle.shift() as Connection;
        connection.sentAt = performance.now();
        connection.socket.write(request);
        sent++;
      }
      await sleep(1);
    }
    while (done < sent) await sleep(1);
    const elapsed = (performance.now() - began) / 1000;
    const sorted = latencies.subarray(0, done).toSorted();
    const at = (share: number): number => (sorted[Math.floor(share * (done - 1))] as number) * 1000;
    return { requests: done, seconds: elapsed, medianUs: at(0.5), p99Us: at(0.99) };
  };
  parent.on((window) => void measure(window).then(parent.emit));
  parent.ready(undefined);
  await parent.finished;
  for (const { socket } of idle) socket.destroy();
  return undefined;
});
