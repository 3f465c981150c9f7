/**
 * A netlink socket in the calling thread's network namespace: requests with their answers, and notifications.
 * Non-blocking and polled: a poll without news costs under a microsecond. RFC 3549; include/uapi/linux/netlink.h.
 */
import { kernelError, type Libc } from "./libc.ts";

const AF_NETLINK = 16;
const SOCK_RAW_NONBLOCK_CLOEXEC = 3 | 0x800 | 0x80000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const EAGAIN = -11;
const HEADER = 16;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
export const NLM_F_REQUEST = 1;
export const NLM_F_ACK = 4;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_DUMP = 0x300;

export interface NetlinkMessage {
  readonly type: number;
  /** After the 16-byte header; valid until the next call. */
  readonly payload: Uint8Array;
}

export interface Netlink {
  /** @returns 0 or the negative errno of the acknowledgement; `visit` sees the other answers. */
  request(
    type: number,
    flags: number,
    payload: Uint8Array,
    visit?: (message: NetlinkMessage) => void,
  ): number;
  /** Drains notifications. @returns false if the kernel dropped some: list anew. */
  poll(visit: (message: NetlinkMessage) => void): boolean;
  close(): void;
}

/** @param groups bit mask of multicast groups. @throws X0_FLOWS_KERNEL_CALL */
export function openNetlink(libc: Libc, protocol: number, groups = 0): Netlink {
  const fd = libc.socket(AF_NETLINK, SOCK_RAW_NONBLOCK_CLOEXEC, protocol);
  if (fd < 0) throw kernelError("opening a netlink socket", fd);
  const address = new Uint8Array(12);
  const addressView = new DataView(address.buffer);
  addressView.setUint16(0, AF_NETLINK, true);
  addressView.setUint32(8, groups, true);
  const bound = libc.bind(fd, address);
  if (bound < 0) {
    libc.close(fd);
    throw kernelError("binding a netlink socket", bound);
  }
  libc.setSocketOption(fd, SOL_SOCKET, SO_RCVBUF, new Uint8Array(new Uint32Array([1 << 20]).buffer));
  const buffer = new Uint8Array(1 << 16);
  let sequence = 0;

  /** Calls `visit` for each message of one datagram. */
  const split = (length: number, visit: (message: NetlinkMessage, sequence: number) => void): void => {
    const view = new DataView(buffer.buffer, 0, length);
    for (let at = 0; at + HEADER <= length; ) {
      const size = view.getUint32(at, true);
      if (size < HEADER || at + size > length) return;
      visit(
        { type: view.getUint16(at + 4, true), payload: buffer.subarray(at + HEADER, at + size) },
        view.getUint32(at + 8, true),
      );
      at += (size + 3) & ~3;
    }
  };
  return {
    request(type, flags, payload, visit) {
      const message = new Uint8Array(HEADER + payload.length);
      const view = new DataView(message.buffer);
      const mine = ++sequence;
      view.setUint32(0, message.length, true);
      view.setUint16(4, type, true);
      view.setUint16(6, flags | NLM_F_REQUEST, true);
      view.setUint32(8, mine, true);
      message.set(payload, HEADER);
      const sent = libc.send(fd, message, 0);
      if (sent < 0) return sent;
      let result: number | undefined;
      while (result === undefined) {
        const length = libc.receive(fd, buffer, 0);
        if (length < 0) return length;
        split(length, (answer, number) => {
          if (number !== mine) return;
          if (answer.type === NLMSG_ERROR)
            result = new DataView(answer.payload.slice().buffer).getInt32(0, true);
          else if (answer.type === NLMSG_DONE) result = 0;
          else visit?.(answer);
        });
      }
      return result;
    },
    poll(visit) {
      for (;;) {
        const length = libc.receive(fd, buffer, 0);
        if (length === EAGAIN) return true;
        if (length < 0) {
          // ENOBUFS: what is queued is still good, but something is missing.
          while (libc.receive(fd, buffer, 0) > 0);
          return false;
        }
        split(length, visit);
      }
    },
    close: () => void libc.close(fd),
  };
}

/** The attributes of a message: type → value; nested ones are read by calling this on the value. */
export function readAttributes(payload: Uint8Array): Map<number, Uint8Array> {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const found = new Map<number, Uint8Array>();
  for (let at = 0; at + 4 <= payload.length; ) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > payload.length) break;
    found.set(view.getUint16(at + 2, true) & 0x3fff, payload.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}

/** One attribute with its header and padding. */
export function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array((4 + value.length + 3) & ~3);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 4 + value.length, true);
  view.setUint16(2, type, true);
  bytes.set(value, 4);
  return bytes;
}

export function u32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}
