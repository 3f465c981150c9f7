/** Hellos of TLS for tests: built from fields, and those that OpenSSL (inside Node) really sends. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import {
  type ConnectionOptions,
  connect as connectTls,
  createServer as createTlsServer,
  type TlsOptions,
} from "node:tls";
import { bytesOf } from "../../testing/frames.ts";
import { selfSigned } from "../../testing/tls.ts";

export interface TestHello {
  readonly serverName?: string | Uint8Array;
  readonly versions?: readonly number[];
  readonly legacyVersion?: number;
  /** 0 for the outer form of ECH, 1 for the inner. */
  readonly encrypted?: number;
  /** Bytes of padding in an extension in front of the others. */
  readonly padding?: number;
}

const be16 = (value: number): number[] => [(value >>> 8) & 0xff, value & 0xff];
const sized16 = (...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array => {
  const bytes = bytesOf(...parts);
  return bytesOf(be16(bytes.length), bytes);
};
const extension = (type: number, ...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array =>
  bytesOf(be16(type), sized16(...parts));
const message = (type: number, ...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array => {
  const body = bytesOf(...parts);
  return bytesOf([type, body.length >>> 16], be16(body.length & 0xffff), body);
};

export function clientHello(hello: TestHello): Uint8Array {
  const { serverName, versions, legacyVersion = 0x0303, encrypted, padding = 0 } = hello;
  const extensions = [padding > 0 ? extension(21, new Uint8Array(padding)) : []];
  if (encrypted !== undefined) extensions.push(extension(0xfe0d, [encrypted, 0, 1, 0, 1, 7]));
  if (serverName !== undefined)
    extensions.push(extension(0, sized16([0], sized16(Buffer.from(serverName as string)))));
  if (versions !== undefined)
    extensions.push(extension(43, [versions.length * 2], ...versions.map((version) => be16(version))));
  const random = new Uint8Array(32).fill(7);
  return message(1, be16(legacyVersion), random, [0], sized16([0x13, 1]), [1, 0], sized16(...extensions));
}

export function serverHello(version: number, random = new Uint8Array(32).fill(9)): Uint8Array {
  const isNew = version >= 0x0304;
  const extensions = isNew ? sized16(extension(51, be16(29)), extension(43, be16(version))) : [];
  return message(2, be16(isNew ? 0x0303 : version), random, [4, 1, 2, 3, 4], [0x13, 1, 0], extensions);
}

/** @param recordBytes most of one record. */
export function records(handshake: Uint8Array, recordBytes = 16_384): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < handshake.length; at += recordBytes)
    parts.push(bytesOf([22, 3, 1], sized16(handshake.subarray(at, at + recordBytes))));
  return bytesOf(...parts);
}

export interface Exchange {
  readonly fromClient: Uint8Array;
  readonly fromServer: Uint8Array;
}

/** What both sides of a real handshake sent, by a proxy between them. */
export async function realHandshake(
  serverName: string,
  server: TlsOptions,
  client: ConnectionOptions = {},
): Promise<Exchange> {
  const secure = createTlsServer({ ...selfSigned(), ...server }).listen(0, "127.0.0.1");
  await once(secure, "listening");
  const fromClient: Buffer[] = [];
  const fromServer: Buffer[] = [];
  const proxy = createServer((near) => {
    const far = connect(portOf(secure), "127.0.0.1");
    near.on("data", (bytes: Buffer) => fromClient.push(bytes)).pipe(far);
    far.on("data", (bytes: Buffer) => fromServer.push(bytes)).pipe(near);
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const socket = connectTls({
    port: portOf(proxy),
    host: "127.0.0.1",
    servername: serverName,
    rejectUnauthorized: false,
    ...client,
  });
  await once(socket, "secureConnect");
  socket.end();
  await once(socket, "close");
  proxy.close();
  secure.close();
  return { fromClient: Buffer.concat(fromClient), fromServer: Buffer.concat(fromServer) };
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
