/** A stream of datagrams that a policy denies, and who would hear them. */
import { type Namespace, type Running, start } from "../lab/index.ts";

const BURST = 10;

export interface DeniedStream extends AsyncDisposable {
  /** Whether any was heard so far. */
  heard(): boolean;
  /** Resolves once one has come through. */
  comesThrough(): Promise<void>;
}

/** From the client to a port of the server, ten a millisecond, until it is disposed of. */
export async function deniedStream(
  { client, server }: { readonly client: Namespace; readonly server: Namespace },
  host: string,
  port: number,
): Promise<DeniedStream> {
  await using stack = new AsyncDisposableStack();
  const script = (text: string): string =>
    `const socket = require("node:dgram").createSocket("udp4");\n${text}`;
  const run = async (text: string, ready: RegExp, place: Namespace): Promise<Running> =>
    stack.use(await start([process.execPath, "-e", script(text)], ready, { places: place }));
  const listener = await run(
    `socket.once("message", () => console.log("heard"));
socket.bind(${port}, () => console.log("listening"));`,
    /listening/,
    server,
  );
  await run(
    `const next = () => {
  for (let sent = 0; sent < ${BURST}; sent++) socket.send("x", ${port}, "${host}");
  setTimeout(next, 1);
};
socket.send("x", ${port}, "${host}", () => console.log("sending"));
next();`,
    /sending/,
    client,
  );
  const owned = stack.move();
  return {
    heard: () => listener.output().includes("heard"),
    async comesThrough() {
      await listener.waitFor(/heard/);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
