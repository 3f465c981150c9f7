/**
 * A packet socket (AF_PACKET) that sends frames as they are, many by one system call: sendmmsg(2), packet(7). No
 * memory is allocated a frame, so that one Node process sends some 500,000 frames a second.
 */
import { readFileSync } from "node:fs";
import koffi from "koffi";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOL_PACKET = 263;
const PACKET_QDISC_BYPASS = 20;
/** `struct mmsghdr` and `struct iovec` of 64-bit Linux. */
const MESSAGE_BYTES = 64;
const VECTOR_BYTES = 16;
/** net.core.netdev_max_backlog is 1000 by default: what a processor has not handled beyond that, it drops. */
const MOST_WAITING = 200;
const AT_ONCE = 64;
const WAIT_MS = 0.2;

export interface PacketSocket {
  /** Frames that one call sends at most. */
  readonly slots: number;
  /** Where the frame of a slot is written; keeps what was there. */
  frame(slot: number): Uint8Array;
  setLength(slot: number, bytes: number): void;
  /**
   * Sends the frames of the first slots; waits while the receiving side of a veth pair is behind, so that none is
   * dropped on the way. @throws with the errno when the device does not take one
   */
  send(count: number): void;
  close(): void;
}

/** @param interfaceIndex in the namespace of this thread. Needs CAP_NET_RAW. */
export function openPacketSocket(interfaceIndex: number, slots: number, slotBytes: number): PacketSocket {
  const library = koffi.load("libc.so.6");
  const socket = library.func("int socket(int domain, int type, int protocol)");
  const bind = library.func("int bind(int fd, void *address, unsigned int length)");
  const setsockopt = library.func(
    "int setsockopt(int fd, int level, int option, void *value, unsigned int length)",
  );
  const sendmmsg = library.func("int sendmmsg(int fd, void *messages, unsigned int count, int flags)");
  const close = library.func("int close(int fd)");
  const must = (result: number, operation: string): number => {
    if (result < 0) throw new Error(`${operation}: errno ${koffi.errno()}`);
    return result;
  };

  // Protocol 0: it receives nothing.
  const fd = must(socket(AF_PACKET, SOCK_RAW, 0), "socket(AF_PACKET)");
  const address = new DataView(new ArrayBuffer(20));
  address.setUint16(0, AF_PACKET, true);
  address.setInt32(4, interfaceIndex, true);
  must(bind(fd, new Uint8Array(address.buffer), 20), `bind to interface ${interfaceIndex}`);
  const on = new Uint8Array([1, 0, 0, 0]);
  must(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, on, 4), "PACKET_QDISC_BYPASS");

  // Off-heap: the structures hold addresses.
  const allocate = (
    bytes: number,
  ): { pointer: unknown; address: bigint; bytes: Uint8Array; view: DataView } => {
    const pointer = koffi.alloc("uint8_t", bytes);
    const buffer = koffi.view(pointer, bytes) as ArrayBuffer;
    new Uint8Array(buffer).fill(0);
    return {
      pointer,
      address: BigInt(koffi.address(pointer)),
      bytes: new Uint8Array(buffer),
      view: new DataView(buffer),
    };
  };
  const frames = allocate(slots * slotBytes);
  const vectors = allocate(slots * VECTOR_BYTES);
  const messages = allocate(slots * MESSAGE_BYTES);
  for (let slot = 0; slot < slots; slot++) {
    vectors.view.setBigUint64(slot * VECTOR_BYTES, frames.address + BigInt(slot * slotBytes), true);
    messages.view.setBigUint64(
      slot * MESSAGE_BYTES + 16,
      vectors.address + BigInt(slot * VECTOR_BYTES),
      true,
    );
    messages.view.setBigUint64(slot * MESSAGE_BYTES + 24, 1n, true);
  }
  const views = Array.from({ length: slots }, (_, slot) =>
    frames.bytes.subarray(slot * slotBytes, (slot + 1) * slotBytes),
  );
  const never = new Int32Array(new SharedArrayBuffer(4));
  return {
    slots,
    frame: (slot) => views[slot] as Uint8Array,
    setLength: (slot, bytes) => vectors.view.setUint32(slot * VECTOR_BYTES + 8, bytes, true),
    send(count) {
      let sent = 0;
      while (sent < count) {
        while (waiting() > MOST_WAITING) Atomics.wait(never, 0, 0, WAIT_MS);
        const next = koffi.as(messages.address + BigInt(sent * MESSAGE_BYTES), "void *");
        sent += must(sendmmsg(fd, next, Math.min(AT_ONCE, count - sent), 0), "sendmmsg");
      }
    },
    close() {
      close(fd);
      for (const { pointer } of [frames, vectors, messages]) koffi.free(pointer as never);
    },
  };
}

/** Packets that wait for a processor, the most of any: the length of softnet_data's backlog (net/core/net-procfs.c). */
function waiting(): number {
  const lines = readFileSync("/proc/net/softnet_stat", "utf8").trimEnd().split("\n");
  return Math.max(...lines.map((line) => Number.parseInt(line.split(" ")[11] ?? "0", 16)));
}
