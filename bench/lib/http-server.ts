/** A server that answers each request of an HTTP/1.1 connection with the same bytes: as cheap as Node allows. */
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { serveScript } from "../../test/lab/children/serve.ts";
import type { ScriptContract } from "../../test/lab/process.ts";

export interface HttpServerContract extends ScriptContract {
  readonly argument: { readonly host: string; readonly port: number };
  readonly ready: undefined;
  readonly event: never;
  readonly order: never;
  /** Requests answered. */
  readonly result: number;
}

const body = "x".repeat(200);
export const response: Buffer = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
);
const END = Buffer.from("\r\n\r\n");

if (process.argv[1] === import.meta.filename)
  serveScript<HttpServerContract>(async ({ host, port }, parent) => {
    let answered = 0;
    const sockets = new Set<Socket>();
    const server = createServer({ noDelay: true }, (socket) => {
      sockets.add(socket);
      socket.on("data", (request) => {
        // A client of ours waits for each answer, so a request comes in one piece.
        if (request.indexOf(END) !== request.length - END.length) return socket.destroy();
        answered++;
        return socket.write(response);
      });
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    });
    await once(server.listen(port, host), "listening");
    parent.ready(undefined);
    await parent.finished;
    server.close();
    for (const socket of sockets) socket.destroy();
    return answered;
  });
