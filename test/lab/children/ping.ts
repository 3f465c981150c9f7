/**
 * ICMP echo through a raw socket: `ping` is not everywhere, and Node has no such socket. Synchronous, so it has
 * a process of its own.
 */
import { isIPv6 } from "node:net";
import koffi from "koffi";
import type { ScriptContract } from "../process.ts";
import { serveScript } from "./serve.ts";

export interface PingOptions {
  readonly host: string;
  readonly count: number;
  /** Of the payload; default 56. */
  readonly sizeBytes?: number;
}

export interface PingReport {
  readonly pid: number;
  readonly id: number;
  readonly sent: number;
  readonly received: number;
}

export interface PingContract extends ScriptContract {
  readonly argument: PingOptions;
  readonly result: PingReport;
}

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_RAW = 3;
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const replyTimeoutSeconds = 5n;

serveScript<PingContract>(async ({ host, count, sizeBytes = 56 }, parent) => {
  const v6 = isIPv6(host);
  const libc = koffi.load("libc.so.6");
  const socket = libc.func("int socket(int domain, int type, int protocol)");
  const setsockopt = libc.func("int setsockopt(int fd, int level, int name, void *value, uint32_t size)");
  const sendto = libc.func(
    "intptr_t sendto(int fd, void *data, size_t n, int flags, void *to, uint32_t size)",
  );
  const recv = libc.func("intptr_t recv(int fd, void *data, size_t n, int flags)");
  const must = (result: number, call: string): number => {
    if (result < 0) throw new Error(`${call}: errno ${koffi.errno()}`);
    return result;
  };
  const fd = must(socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP), "socket");
  const timeout = new BigInt64Array([replyTimeoutSeconds, 0n]);
  must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.byteLength), "setsockopt");
  parent.ready(undefined);
  const to = socketAddress(host);
  const id = process.pid & 0xffff;
  const buffer = Buffer.alloc(65_536);
  let received = 0;
  for (let sequence = 1; sequence <= count; sequence++) {
    const message = Buffer.alloc(8 + sizeBytes, "x");
    message.set([v6 ? 128 : 8, 0, 0, 0, id >> 8, id & 0xff, (sequence >> 8) & 0xff, sequence & 0xff]);
    // For ICMPv6 the kernel fills it in: it covers the source address too (RFC 3542 §3.1).
    if (!v6) message.writeUInt16BE(checksum(message), 2);
    must(Number(sendto(fd, message, message.length, 0, to, to.length)), "sendto");
    for (;;) {
      const length = Number(recv(fd, buffer, buffer.length, 0));
      if (length < 0) break;
      // A raw IPv4 socket gives the header too; both see all ICMP, on loopback our own requests as well.
      const reply = buffer.subarray(v6 ? 0 : ((buffer[0] ?? 0) & 0x0f) * 4, length);
      if (reply[0] !== (v6 ? 129 : 0)) continue;
      if (reply.readUInt16BE(4) !== id || reply.readUInt16BE(6) !== (sequence & 0xffff)) continue;
      received++;
      break;
    }
  }
  return { pid: process.pid, id, sent: count, received };
});

/** The Internet checksum, RFC 1071. */
function checksum(message: Buffer): number {
  let sum = 0;
  for (let at = 0; at < message.length; at += 2) sum += ((message[at] ?? 0) << 8) | (message[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** `struct sockaddr_in` or `sockaddr_in6`; the port is unused. */
function socketAddress(host: string): Buffer {
  if (!isIPv6(host)) {
    const address = Buffer.alloc(16);
    address.writeUInt16LE(AF_INET, 0);
    address.set(host.split(".").map(Number), 4);
    return address;
  }
  const address = Buffer.alloc(28);
  address.writeUInt16LE(AF_INET6, 0);
  const [head = "", tail = ""] = host.split("::");
  const words = (text: string): number[] =>
    text
      .split(":")
      .filter(Boolean)
      .map((word) => Number.parseInt(word, 16));
  const [first, last] = [words(head), words(tail)];
  for (const [index, word] of [...first, ...Array(8 - first.length - last.length).fill(0), ...last].entries())
    address.writeUInt16BE(word, 8 + 2 * index);
  return address;
}
