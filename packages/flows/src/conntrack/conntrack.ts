/**
 * Translated connections of one network namespace, as its connection tracking tells them: news of new and destroyed
 * entries, and a dump of what there is at the start and wherever news was lost. The kernel drops news of entries
 * that are not translated before it reaches us. Nothing here loads or enables connection tracking.
 * net/netfilter/nf_conntrack_netlink.c.
 */
import { existsSync } from "node:fs";
import { kernelError, type Libc } from "../kernel/libc.ts";
import {
  type Netlink,
  type NetlinkMessage,
  NLM_F_DUMP,
  NLMSG_DONE,
  NLMSG_ERROR,
  openNetlink,
} from "../kernel/netlink.ts";
import { createEntryReader, type Tuple } from "./entry.ts";
import { KEY_WORDS, writeFlowKey } from "./key.ts";

const NETLINK_NETFILTER = 12;
/** Groups NFNLGRP_CONNTRACK_NEW (1) and NFNLGRP_CONNTRACK_DESTROY (3). Translation is decided before NEW. */
const NEWS = (1 << 0) | (1 << 2);
const IPCTNL_MSG_CT_NEW = 0x100;
const IPCTNL_MSG_CT_GET = 0x101;
const IPCTNL_MSG_CT_DELETE = 0x102;
/** An event takes about 1 KiB of it: a quarter of a second of 20,000 connections that come and go. */
const RECEIVE_BYTES = 8 << 20;
/** Of a poll: 512 events take about a millisecond. */
const MOST_EVENTS = 512;
/** Datagrams of a dump, each of up to 150 entries. */
const MOST_DUMPED = 8;
/** A flood that overflows the socket again and again must not make us read the whole table again and again. */
const DUMP_AGAIN_MS = 5000;
/**
 * By default (net.netfilter.nf_conntrack_events = 2) the kernel does not tell the end of entries that are older than
 * the first subscriber.
 */
const REFRESH_MS = 60_000;
/** Entries destroyed during a dump, which may tell of them later; beyond so many it is done again. */
const MOST_DESTROYED = 65_536;

export interface TranslatedConnection {
  /** Our number of the namespace. */
  readonly netns: number;
  /** As the opener sends it, and as its peer answers. All of this is valid during the call only. */
  readonly original: Tuple;
  readonly reply: Tuple;
  /** The flow keys of both, original first, as `Translations` takes them. */
  readonly keys: Uint32Array;
}

export interface ConntrackOutput {
  translated(connection: TranslatedConnection): void;
  destroyed(connection: TranslatedConnection): void;
  /** Everything that is translated now follows, then `restated`: what was not told in between is gone. */
  restating(netns: number): void;
  restated(netns: number): void;
}

export interface Conntrack {
  /** Takes what has come, for a few milliseconds at most, without waiting. */
  poll(nowMs: number): void;
  /** Why the kernel did not dump its table, if it did not. */
  readonly refusal: Error | undefined;
  /** News that the socket had no room for, as the kernel counts it. */
  readonly lost: number;
  close(): void;
}

/** Whether the calling thread's namespace has connection tracking to ask. */
export function hasConntrack(): boolean {
  return existsSync("/proc/sys/net/netfilter/nf_conntrack_count");
}

/** In the calling thread's network namespace. @throws X0_FLOWS_KERNEL_CALL */
export function openConntrack(libc: Libc, netns: number, output: ConntrackOutput): Conntrack {
  const reader = createEntryReader();
  const keys = new Uint32Array(2 * KEY_WORDS);
  const connection: TranslatedConnection = { netns, original: reader.original, reply: reader.reply, keys };
  // Two sockets: news would mix with the dump.
  const news = openNetlink(libc, NETLINK_NETFILTER, NEWS, {
    receiveBytes: RECEIVE_BYTES,
    filter: onlyTranslated(),
  });
  let dump: Netlink;
  try {
    dump = openNetlink(libc, NETLINK_NETFILTER);
  } catch (error) {
    news.close();
    throw error;
  }
  const destroyed = new Set<number>();
  let isDue = true;
  let isUnderWay = false;
  let dumpedMs = Number.NEGATIVE_INFINITY;
  let refusal: Error | undefined;

  const read = (payload: Uint8Array): boolean => {
    if (!reader.read(payload)) return false;
    writeFlowKey(reader.original, netns, keys, 0);
    writeFlowKey(reader.reply, netns, keys, KEY_WORDS);
    return true;
  };
  const takeNews = ({ type, payload }: NetlinkMessage): void => {
    if (type === IPCTNL_MSG_CT_NEW) {
      if (read(payload)) output.translated(connection);
    } else if (type === IPCTNL_MSG_CT_DELETE && read(payload)) {
      if (isUnderWay && destroyed.size < MOST_DESTROYED) destroyed.add(reader.id);
      output.destroyed(connection);
    }
  };
  const takeDump = ({ type, payload }: NetlinkMessage): void => {
    if (type === IPCTNL_MSG_CT_NEW) {
      // The kernel fills a datagram ahead of the one that is read.
      if (read(payload) && !destroyed.has(reader.id)) output.translated(connection);
    } else if (type === NLMSG_DONE || type === NLMSG_ERROR) {
      isUnderWay = false;
      const errno = new DataView(payload.buffer, payload.byteOffset, payload.length).getInt32(0, true);
      refusal = errno < 0 ? kernelError("reading the connection tracking table", errno) : undefined;
      if (errno < 0 || destroyed.size >= MOST_DESTROYED) isDue = true;
      else output.restated(netns);
      destroyed.clear();
    }
  };
  const beginDump = (nowMs: number): void => {
    dumpedMs = nowMs;
    // A zeroed nfgenmsg asks for all families.
    const sent = dump.send(IPCTNL_MSG_CT_GET, NLM_F_DUMP, new Uint8Array(4));
    if (sent < 0) {
      refusal = kernelError("asking for the connection tracking table", sent);
      return;
    }
    isDue = false;
    isUnderWay = true;
    output.restating(netns);
  };

  return {
    get lost() {
      return news.dropped();
    },
    get refusal() {
      return refusal;
    },
    poll(nowMs) {
      if (!isUnderWay && nowMs - dumpedMs >= (isDue ? DUMP_AGAIN_MS : REFRESH_MS)) beginDump(nowMs);
      if (isUnderWay) dump.poll(takeDump, MOST_DUMPED);
      if (!news.poll(takeNews, MOST_EVENTS)) isDue = true;
    },
    close() {
      news.close();
      dump.close();
    },
  };
}

/**
 * A classic BPF program over a message: accept it if its CTA_STATUS has IPS_SRC_NAT or IPS_DST_NAT. The kernel's own
 * extension SKF_AD_NLATTR finds the attribute of type X behind offset A.
 */
function onlyTranslated(): Uint8Array {
  const HEADERS = 20;
  const CTA_STATUS = 3;
  const SKF_AD_NLATTR = 0xfffff000 + 12;
  const instructions: readonly (readonly [code: number, whenTrue: number, whenFalse: number, k: number])[] = [
    [0x00, 0, 0, HEADERS],
    [0x01, 0, 0, CTA_STATUS],
    [0x20, 0, 0, SKF_AD_NLATTR],
    [0x15, 4, 0, 0],
    [0x07, 0, 0, 0],
    [0x40, 0, 0, 4],
    [0x45, 0, 1, 0x30],
    [0x06, 0, 0, 0xffffffff],
    [0x06, 0, 0, 0],
  ];
  const view = new DataView(new ArrayBuffer(8 * instructions.length));
  for (const [index, [code, whenTrue, whenFalse, k]] of instructions.entries()) {
    view.setUint16(8 * index, code, true);
    view.setUint8(8 * index + 2, whenTrue);
    view.setUint8(8 * index + 3, whenFalse);
    view.setUint32(8 * index + 4, k, true);
  }
  return new Uint8Array(view.buffer);
}
