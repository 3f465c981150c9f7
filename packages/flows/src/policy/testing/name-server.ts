/**
 * A name server as a program of its own, over UDP and TCP: `node name-server.ts ADDRESS`. The first label says the
 * address (`192-0-2-1.example.org`), and one like `ttl-5` how long it holds.
 */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { addressRecord, dnsReply, dnsType, overTcp } from "./dns-messages.ts";

const DNS = 53;
const [, , address = "127.0.0.1"] = process.argv;

function answer(query: Buffer): Uint8Array {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at++] as number; length > 0; length = query[at++] as number) {
    labels.push(query.toString("latin1", at, at + length));
    at += length;
  }
  const type = query.readUInt16BE(at);
  const ttl = Number(/(?:^|\.)ttl-(\d+)\./.exec(labels.join("."))?.[1] ?? 60);
  const host = (labels[0] as string).replaceAll("-", ".");
  const records = type === dnsType.a ? [addressRecord(host, { ttl })] : [];
  return dnsReply({ id: query.readUInt16BE(0), name: labels.join("."), type }, records);
}

const udp = createSocket("udp4");
udp.on("message", (query, { port, address: from }) => udp.send(answer(query), port, from));
const tcp = createServer((socket) => {
  socket.on("error", () => {});
  // Queries are short: each comes in one piece.
  socket.on("data", (bytes) => socket.write(overTcp(answer(bytes.subarray(2)))));
});
udp.bind(DNS, address, () => tcp.listen(DNS, address, () => process.stdout.write("answering\n")));
