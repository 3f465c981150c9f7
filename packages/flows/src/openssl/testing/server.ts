/**
 * An HTTPS server in a process of its own, for the tests of probes. Its argument is the name by which it is found.
 * What it answers repeats what it was asked, so that secrets pass in both directions.
 */
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { selfSigned } from "../../testing/tls.ts";

process.title = process.argv[2] as string;
const server = createServer(selfSigned(), (request, response) => {
  const secret = String(request.headers["x-secret"] ?? "");
  const body: Buffer[] = [];
  request.on("data", (piece: Buffer) => body.push(piece));
  request.on("end", () => {
    const status = request.url?.startsWith("/failed") ? 503 : 200;
    response
      .writeHead(status, { "x-echo": secret })
      .end(`GOT ${request.url} ${secret} ${Buffer.concat(body)}`);
  });
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
