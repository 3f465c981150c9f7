/** The process behind `openSockets`. */
import { createSocket } from "node:dgram";
import { type AddressInfo, connect, createServer, isIPv6, type Server, type Socket } from "node:net";
import type { ScriptContract } from "../process.ts";
import { type Parent, serveScript } from "./serve.ts";

export interface Opening {
  readonly kind: "listen" | "dial";
  readonly protocol: "tcp" | "udp";
  readonly host: string;
  readonly port: number;
  /** Its own port when it dials. */
  readonly own: number;
}

interface To {
  readonly host: string;
  readonly port: number;
}

export interface SocketsContract extends ScriptContract {
  readonly argument: undefined;
  readonly ready: undefined;
  readonly order:
    | { readonly id: number; readonly kind: "open"; readonly opening: Opening }
    | { readonly id: number; readonly kind: "say"; readonly words: string; readonly to: To | undefined }
    | { readonly id: number; readonly kind: "close" };
  readonly event:
    | { readonly id: number; readonly kind: "open"; readonly port: number }
    | { readonly id: number; readonly kind: "text"; readonly text: string }
    | { readonly id: number; readonly kind: "error"; readonly code: string };
  readonly result: undefined;
}

interface Opened {
  say(words: string, to: To | undefined): void;
  close(): void;
}

serveScript<SocketsContract>(async (_, parent) => {
  const opened = new Map<number, Opened>();
  parent.on((order) => {
    if (order.kind === "say") opened.get(order.id)?.say(order.words, order.to);
    else if (order.kind === "close") opened.get(order.id)?.close();
    else
      opened.set(order.id, (order.opening.protocol === "tcp" ? tcp : udp)(parent, order.id, order.opening));
  });
  parent.ready(undefined);
  await parent.finished;
  return undefined;
});

function tcp(parent: Parent<SocketsContract>, id: number, { kind, host, port, own }: Opening): Opened {
  const peers: Socket[] = [];
  let server: Server | undefined;
  const watch = (socket: Socket): void => {
    peers.push(socket);
    socket.setNoDelay(true);
    socket.on("error", ({ code = "" }: NodeJS.ErrnoException) => parent.emit({ id, kind: "error", code }));
    socket.setEncoding("utf8").on("data", (text: string) => parent.emit({ id, kind: "text", text }));
  };
  if (kind === "dial") {
    const socket = connect({ host, port, ...(own === 0 ? {} : { localPort: own }) });
    watch(socket);
    socket.on("connect", () => parent.emit({ id, kind: "open", port: socket.localPort ?? 0 }));
  } else {
    const listener = createServer(watch);
    server = listener;
    listener.on("error", ({ code = "" }: NodeJS.ErrnoException) => parent.emit({ id, kind: "error", code }));
    listener.listen(port, host, () =>
      parent.emit({ id, kind: "open", port: (listener.address() as AddressInfo).port }),
    );
  }
  return {
    say: (words) => {
      for (const socket of peers) socket.write(words);
    },
    close: () => {
      server?.close();
      for (const socket of peers) socket.destroy();
    },
  };
}

function udp(parent: Parent<SocketsContract>, id: number, { kind, host, port, own }: Opening): Opened {
  const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
  let last: To | undefined;
  socket.on("error", ({ code = "" }: NodeJS.ErrnoException) => parent.emit({ id, kind: "error", code }));
  socket.on("message", (text, from) => {
    last = { host: from.address, port: from.port };
    parent.emit({ id, kind: "text", text: String(text) });
  });
  const opened = (): void => parent.emit({ id, kind: "open", port: socket.address().port });
  if (kind === "dial") socket.bind(own, () => socket.connect(port, host, opened));
  else socket.bind(port, host, opened);
  return {
    say: (words, to = last) => {
      if (kind === "dial") socket.send(words);
      else if (to !== undefined) socket.send(words, to.port, to.host);
    },
    close: () => socket.close(),
  };
}
