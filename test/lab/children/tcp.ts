/** One end of `tcpTraffic`. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { ScriptContract } from "../process.ts";
import { serveScript } from "./serve.ts";

interface Shape {
  readonly host: string;
  readonly port: number;
  readonly connections: number;
  readonly requestBytes: number;
  readonly replyBytes: number;
  readonly writeBytes: number;
}

export interface TcpConnection {
  readonly localPort: number;
  readonly remotePort: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** `ECONNRESET` where the other end reset it. */
  readonly error: string | undefined;
}

export interface TcpReport {
  readonly pid: number;
  readonly connections: readonly TcpConnection[];
}

export interface TcpServerContract extends ScriptContract {
  readonly argument: Shape & { readonly role: "server" };
  readonly ready: { readonly port: number };
  readonly result: TcpReport;
}

export interface TcpClientContract extends ScriptContract {
  readonly argument: Shape & { readonly role: "client"; readonly close: "graceful" | "reset" };
  readonly ready: undefined;
  readonly result: TcpReport;
}

serveScript<TcpServerContract | TcpClientContract>(async (argument, parent) => {
  if (argument.role === "client") {
    parent.ready(undefined);
    const connections: TcpConnection[] = [];
    while (connections.length < argument.connections) connections.push(await request(argument));
    return { pid: process.pid, connections };
  }
  const server = createServer({ noDelay: true, allowHalfOpen: true });
  const answered: Promise<TcpConnection>[] = [];
  const { promise: all, resolve } = Promise.withResolvers<void>();
  server.on("connection", (socket) => {
    answered.push(answer(socket, argument));
    if (answered.length === argument.connections) resolve();
  });
  await once(server.listen(argument.port, argument.host), "listening");
  parent.ready({ port: (server.address() as AddressInfo).port });
  await Promise.race([all, parent.finished]);
  const connections = await Promise.all(answered);
  server.close();
  return { pid: process.pid, connections };
});

async function request(argument: TcpClientContract["argument"]): Promise<TcpConnection> {
  const socket = connect({ host: argument.host, port: argument.port, noDelay: true });
  await once(socket, "connect");
  const connection = watch(socket);
  await write(socket, argument.requestBytes, argument.writeBytes);
  await connection.received(argument.replyBytes);
  if (argument.close === "reset") socket.resetAndDestroy();
  else socket.end();
  return connection.closed;
}

async function answer(socket: Socket, argument: TcpServerContract["argument"]): Promise<TcpConnection> {
  const connection = watch(socket);
  await connection.received(argument.requestBytes);
  await write(socket, argument.replyBytes, argument.writeBytes);
  await connection.ended;
  socket.end();
  return connection.closed;
}

/** One write(2) a piece: the next waits until the socket has taken the one before. */
async function write(socket: Socket, totalBytes: number, writeBytes: number): Promise<void> {
  const piece = Buffer.alloc(Math.min(writeBytes, totalBytes), "x");
  for (let left = totalBytes; left > 0 && !socket.destroyed; left -= piece.length) {
    const written = Promise.withResolvers<void>();
    socket.write(left < piece.length ? piece.subarray(0, left) : piece, () => written.resolve());
    await written.promise;
  }
}

interface Watched {
  /** Settles when so many bytes have come, or none will any more. */
  received(bytes: number): Promise<void>;
  /** Settles when the other end has closed its side. */
  readonly ended: Promise<void>;
  readonly closed: Promise<TcpConnection>;
}

function watch(socket: Socket): Watched {
  const { localPort = 0, remotePort = 0 } = socket;
  const end = Promise.withResolvers<void>();
  const close = Promise.withResolvers<TcpConnection>();
  let error: string | undefined;
  socket.on("error", (reason: NodeJS.ErrnoException) => {
    error = reason.code;
  });
  socket.on("end", () => end.resolve());
  socket.on("close", () => {
    end.resolve();
    const { bytesWritten, bytesRead } = socket;
    close.resolve({ localPort, remotePort, sentBytes: bytesWritten, receivedBytes: bytesRead, error });
  });
  const received = (bytes: number): Promise<void> => {
    const enough = Promise.withResolvers<void>();
    const check = (): void => {
      if (socket.bytesRead >= bytes) enough.resolve();
    };
    socket.on("data", check);
    check();
    return Promise.race([enough.promise, end.promise]);
  };
  // Without a reader neither the end nor a reset would be noticed.
  socket.resume();
  return { received, ended: end.promise, closed: close.promise };
}
