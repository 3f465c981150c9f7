/**
 * A netlink socket in the calling thread's network namespace: requests with their answers, and notifications.
 * Non-blocking and polled: a poll without news costs under a microsecond. RFC 3549; include/uapi/linux/netlink.h.
 */
import { kernelError, type Libc } from "./libc.ts";

const AF_NETLINK = 16;
const SOCK_RAW_NONBLOCK_CLOEXEC = 3 | 0x800 | 0x80000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_ATTACH_FILTER = 26;
const SO_RCVBUFFORCE = 33;
const SO_MEMINFO = 55;
const MEMINFO_DROPS = 8;
const EAGAIN = -11;
const ENOBUFS = -105;
const HEADER = 16;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
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
  /** A request whose answers, NLMSG_DONE or NLMSG_ERROR last, come by `poll`. @returns 0 or the negative errno. */
  send(type: number, flags: number, payload: Uint8Array): number;
  /**
   * Takes what has come, at most so many datagrams.
   *
   * @returns false if the kernel dropped notifications since the last call: list anew.
   */
  poll(visit: (message: NetlinkMessage) => void, mostDatagrams?: number): boolean;
  /** Notifications that the kernel dropped since the socket was opened, for want of room. */
  dropped(): number;
  close(): void;
}

export interface NetlinkOptions {
  /** What the kernel may hold for this socket; 1 MiB. */
  readonly receiveBytes?: number;
  /** A classic BPF filter over each datagram, 8 bytes an instruction (Documentation/networking/filter.rst). */
  readonly filter?: Uint8Array;
}

/** @param groups bit mask of multicast groups. @throws X0_FLOWS_KERNEL_CALL */
export function openNetlink(
  libc: Libc,
  protocol: number,
  groups = 0,
  { receiveBytes = 1 << 20, filter }: NetlinkOptions = {},
): Netlink {
  const fd = libc.socket(AF_NETLINK, SOCK_RAW_NONBLOCK_CLOEXEC, protocol);
  if (fd < 0) throw kernelError("opening a netlink socket", fd);
  if (filter !== undefined) {
    // Before it listens, so that nothing comes past it.
    const attached = attachFilter(libc, fd, filter);
    if (attached < 0) {
      libc.close(fd);
      throw kernelError("attaching a filter to a netlink socket", attached);
    }
  }
  const address = new Uint8Array(12);
  const addressView = new DataView(address.buffer);
  addressView.setUint16(0, AF_NETLINK, true);
  addressView.setUint32(8, groups, true);
  const bound = libc.bind(fd, address);
  if (bound < 0) {
    libc.close(fd);
    throw kernelError("binding a netlink socket", bound);
  }
  // Beyond net.core.rmem_max with CAP_NET_ADMIN, else up to it.
  if (libc.setSocketOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, u32(receiveBytes)) < 0)
    libc.setSocketOption(fd, SOL_SOCKET, SO_RCVBUF, u32(receiveBytes));
  const buffer = new Uint8Array(1 << 16);
  const memory = new Uint8Array(4 * (MEMINFO_DROPS + 1));
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
  /** @returns the bytes sent or the negative errno. */
  const send = (type: number, flags: number, payload: Uint8Array): number => {
    const message = new Uint8Array(HEADER + payload.length);
    const view = new DataView(message.buffer);
    view.setUint32(0, message.length, true);
    view.setUint16(4, type, true);
    view.setUint16(6, flags | NLM_F_REQUEST, true);
    view.setUint32(8, ++sequence, true);
    message.set(payload, HEADER);
    return libc.send(fd, message, 0);
  };
  return {
    request(type, flags, payload, visit) {
      const sent = send(type, flags, payload);
      const mine = sequence;
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
    send: (type, flags, payload) => Math.min(0, send(type, flags, payload)),
    poll(visit, mostDatagrams = Number.POSITIVE_INFINITY) {
      let complete = true;
      for (let taken = 0; taken < mostDatagrams; taken++) {
        const length = libc.receive(fd, buffer, 0);
        if (length > 0) split(length, visit);
        else if (length === ENOBUFS) complete = false;
        else return complete && length === EAGAIN;
      }
      return complete;
    },
    dropped() {
      const result = libc.getSocketOption(fd, SOL_SOCKET, SO_MEMINFO, memory);
      return result < 0 ? 0 : (new Uint32Array(memory.buffer)[MEMINFO_DROPS] as number);
    },
    close: () => void libc.close(fd),
  };
}

/** `struct sock_fprog`: how many instructions, and their address. */
function attachFilter(libc: Libc, fd: number, filter: Uint8Array): number {
  const program = libc.allocate(filter.length);
  try {
    program.bytes.set(filter);
    const argument = new DataView(new ArrayBuffer(16));
    argument.setUint16(0, filter.length / 8, true);
    argument.setBigUint64(8, program.address, true);
    return libc.setSocketOption(fd, SOL_SOCKET, SO_ATTACH_FILTER, new Uint8Array(argument.buffer));
  } finally {
    program.free();
  }
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
