/**
 * A packet capture: programs of its own on the devices that are observed, a ring of its own, and from it the blocks
 * of a pcapng file. Runs in a worker thread of its own that lives as long as the capture.
 *
 * A packet is in the file once for each observed device that it passed, as a sniffer on that device sees it; dropped
 * packets are on interfaces of their own, from the IP header on. What found no room in the ring is counted by the
 * kernel side for each device, and stands in the file's statistics.
 */
import { release } from "node:os";
import type { Clock } from "@x0tta6bl4/core";
import { type Attachments, openAttachments } from "../capture/attachments.ts";
import { processTest } from "../filter.ts";
import type { FlowProcess } from "../flow.ts";
import { kernelDropReasons } from "../insight/drop-reasons.ts";
import { mapAccess, openRawTracepoint, programInfo, readBatches } from "../kernel/bpf.ts";
import { possibleCpus } from "../kernel/cpus.ts";
import { kernelError, type Libc, type Memory } from "../kernel/libc.ts";
import { type Loaded, loadObject } from "../kernel/load.ts";
import { type NetworkNamespace, namespaceCookie } from "../kernel/namespaces.ts";
import { openRing } from "../kernel/ring.ts";
import { commentOf } from "./comment.ts";
import type { PacketsOptions } from "./contract.ts";
import { kernelFilter } from "./filter.ts";
import { packetCountsLayout, packetRecordLayout, programNames, recordFlag } from "./generated/layout.ts";
import { openOwners } from "./owners.ts";
import { createPcapngWriter, linkType } from "./pcapng.ts";
import { type MapName, type ProgramName, packetPrograms } from "./programs.ts";
import { wallClock } from "./wall-clock.ts";

/** Room for 25,000 packets of 256 bytes: a quarter of a second at 100,000 a second. */
const RING_BYTES = 8 << 20;
/** Loaded when the first device comes that needs them. */
const forOthers: readonly ProgramName[] = ["x0_take_ingress_cb", "x0_take_egress_cb"];
/** So that one poll makes no more than a chunk of a megabyte or so. */
const MOST_PACKETS = 2048;
const STATISTICS_MS = 250;
const DEVICES_MS = 1000;
/** Of the counts, in one read. */
const BATCH = 1024;

const word = {
  time: packetRecordLayout.timeNs / 4,
  key: packetRecordLayout.key / 4,
  ifindex: packetRecordLayout.ifindex / 4,
  length: packetRecordLayout.length / 4,
  captured: packetRecordLayout.captured / 4,
  flags: packetRecordLayout.flags / 4,
  reason: packetRecordLayout.reason / 4,
  vlan: packetRecordLayout.vlanTci / 4,
} as const;
const KIND_WORD = word.key + 9;
const nothing = new Uint8Array(0);
const nobody = [null, null] as const;
/** Destination and source at the start of an Ethernet frame, and a VLAN tag. */
const ADDRESSES_BYTES = 12;
const TAG_BYTES = 4;

export interface Packets {
  /** The file's beginning. */
  readonly header: Uint8Array<ArrayBuffer>;
  readonly devices: number;
  /** Takes packets from the ring; whole blocks, none if nothing came. */
  poll(): Uint8Array<ArrayBuffer>;
  /** Detaches, and gives what was left in the ring and the last statistics. */
  close(): Uint8Array<ArrayBuffer>;
}

interface CapturedInterface {
  readonly number: number;
  delivered: number;
}

/** @throws X0_FLOWS_KERNEL_CALL, X0_FLOWS_NAMESPACE, X0_FLOWS_INVALID_FILTER */
export function openPackets(libc: Libc, options: PacketsOptions, clock: Clock): Packets {
  const { query } = options;
  const isDrops = query.on_drop === "true";
  const filter = kernelFilter(query);
  const isWanted = query.process === undefined ? undefined : processTest(query.process);
  using opening = new DisposableStack();
  const loaded = loadObject(libc, packetPrograms(), {
    maxEntries: { packets: RING_BYTES },
    programs: programNames.filter((name) => !forOthers.includes(name)),
  });
  opening.defer(() => loaded.close());
  put(libc, loaded.maps.packet_filter, new Uint32Array([0]), filter);
  const attachments = attach(libc, options, loaded);
  const hooks = opening.use(new DisposableStack());
  hooks.defer(() => attachments.close());
  if (isDrops) {
    const link = openRawTracepoint(libc, loaded.programs.x0_take_dropped, "kfree_skb");
    if (link < 0) throw kernelError("attaching to the tracepoint kfree_skb", link);
    hooks.defer(() => void libc.close(link));
  }
  const ring = openRing(libc, loaded.maps.packets, RING_BYTES);
  opening.defer(() => ring.close());
  const owners =
    options.flows === undefined ? undefined : openOwners(libc, options.flows, () => clock.nowMs());
  opening.defer(() => owners?.close());
  const counts = countsReader(libc, loaded.maps.counts);
  opening.defer(() => counts.close());
  const reasons = isDrops ? kernelDropReasons() : undefined;
  const open = opening.move();

  const writer = createPcapngWriter();
  const interfaces = new Map<number, CapturedInterface>();
  let statisticsMs = Number.NEGATIVE_INFINITY;
  let devicesMs = clock.nowMs();
  const wall = wallClock(clock);

  const describe = (
    netns: number,
    index: number,
    isDropped: boolean,
    isEthernet: boolean,
  ): CapturedInterface => {
    const number = interfaces.size;
    const name = index === 0 ? "none" : attachments.interfaceName(netns, index);
    const place = netns === 0 ? "" : ` in network namespace ${attachments.namespaceInode(netns)}`;
    writer.interfaceDescription({
      linkType: isEthernet ? linkType.ethernet : linkType.raw,
      snapLength: query.snap,
      name,
      description: `${isDropped ? "dropped by the kernel" : "observed"}${place}`,
    });
    const made = { number, delivered: 0 };
    interfaces.set(placeOf(netns, index, isDropped), made);
    return made;
  };

  const takePacket = (words: Uint32Array, at: number): void => {
    const flags = words[at + word.flags] as number;
    const netns = (words[at + KIND_WORD] as number) & 0xffff;
    const isDropped = (flags & recordFlag.dropped) !== 0;
    const index = words[at + word.ifindex] as number;
    const found = owners?.of(words, at + word.key, clock.nowMs()) ?? nobody;
    if (isWanted !== undefined && !isWanted(found[0]) && !isWanted(found[1])) return;
    const sender = (flags & recordFlag.side) === 0 ? 0 : 1;
    const from =
      interfaces.get(placeOf(netns, index, isDropped)) ??
      describe(netns, index, isDropped, (flags & recordFlag.ethernet) !== 0);
    const captured = words[at + word.captured] as number;
    const start = words.byteOffset + 4 * at + packetRecordLayout.size;
    const bytes = new Uint8Array(words.buffer as ArrayBuffer, start, captured);
    const isTagged = (flags & recordFlag.tagged) !== 0 && captured >= ADDRESSES_BYTES;
    const monotonicNs =
      (BigInt(words[at + word.time + 1] as number) << 32n) | BigInt(words[at + word.time] as number);
    writer.packet({
      interface: from.number,
      timestampNs: wall.at(monotonicNs),
      originalLength: (words[at + word.length] as number) + (isTagged ? TAG_BYTES : 0),
      direction: isDropped ? "unknown" : flags & recordFlag.egress ? "out" : "in",
      comment: commentOf({
        sender: found[sender] as FlowProcess | null,
        receiver: found[1 - sender] as FlowProcess | null,
        dropped: isDropped ? (reasons?.name(words[at + word.reason] as number) ?? "") : undefined,
      }),
      head: isTagged ? withTag(bytes, words[at + word.vlan] as number) : nothing,
      tail: isTagged ? bytes.subarray(ADDRESSES_BYTES) : bytes,
    });
    from.delivered++;
  };

  const drain = (limit?: number): number => {
    wall.adjust();
    return ring.drain(takePacket, limit);
  };

  const missed = (): number => Number(programInfo(libc, loaded.programs.x0_take_dropped).missed);

  const writeStatistics = (nowMs: number): void => {
    statisticsMs = nowMs;
    const read = counts.read();
    if (isDrops) {
      // A drop while another is taken on the same CPU: whether it would have matched nobody knows.
      const { matched, lost } = read.get(placeOf(0, 0, true)) ?? { matched: 0, lost: 0 };
      const more = missed();
      read.set(placeOf(0, 0, true), { matched: matched + more, lost: lost + more });
    }
    for (const [place, { lost }] of read)
      if (lost > 0 && !interfaces.has(place)) {
        const [netns, index, isDropped] = partsOf(place);
        // Nothing of it came through, so its link type does not matter.
        describe(netns, index, isDropped, !isDropped);
      }
    const timestampNs = BigInt(Math.round(nowMs * 1e6));
    for (const [place, { number, delivered }] of interfaces) {
      const { matched = 0, lost = 0 } = read.get(place) ?? {};
      writer.statistics({ interface: number, timestampNs, received: matched, dropped: lost, delivered });
    }
  };

  const tellNamespaces = (): void => {
    for (const { number, namespace } of attachments.namespaces())
      put(
        libc,
        loaded.maps.captured_namespaces,
        new BigUint64Array([namespace.run(() => namespaceCookie(libc))]),
        new Uint32Array([number]),
      );
  };

  tellNamespaces();
  writer.sectionHeader({ application: "x0tta6bl4", os: `Linux ${release()}` });
  // All of them, so that a file without packets tells what was observed.
  for (const { netns, index, headerBytes } of attachments.devices())
    describe(netns, index, false, headerBytes === 14);
  if (isDrops) describe(0, 0, true, false);
  return {
    header: writer.take(),
    devices: attachments.devices().length,
    poll() {
      const nowMs = clock.nowMs();
      drain(MOST_PACKETS);
      if (nowMs - devicesMs >= DEVICES_MS) {
        devicesMs = nowMs;
        attachments.poll();
        while (attachments.step());
        tellNamespaces();
      }
      if (nowMs - statisticsMs >= STATISTICS_MS) writeStatistics(nowMs);
      return writer.take();
    },
    close() {
      hooks.dispose();
      drain();
      writeStatistics(clock.nowMs());
      open.dispose();
      return writer.take();
    },
  };
}

function attach(libc: Libc, options: PacketsOptions, loaded: Loaded<MapName, ProgramName>): Attachments {
  const { query, flows } = options;
  const attachments = openAttachments(libc, {
    programs: {
      ingress: loaded.programs.x0_take_ingress,
      egress: loaded.programs.x0_take_egress,
      others() {
        const rest = loadObject(libc, packetPrograms(), { maps: loaded.maps, programs: forOthers });
        const { x0_take_ingress_cb: ingress, x0_take_egress_cb: egress } = rest.programs;
        return { ingress, egress, close: rest.close };
      },
    },
    // What clsact filters are known by; the start of an agent removes all that begin like its own.
    tag: "x0tta6bl4:flows:packets",
    mode: options.attach,
    // Drops need no device, only the names.
    interfaces:
      query.on_drop === "true"
        ? { include: [], exclude: ["*"] }
        : { include: options.interfaces, exclude: options.excludeInterfaces },
    namespaces: { include: options.namespaces, exclude: options.excludeNamespaces },
    ...(flows === undefined ? {} : { numberOf: namespaceNumbers(libc, flows.namespaces) }),
    // The agent has said it of its flows.
    onForbidden: () => undefined,
  });
  try {
    while (attachments.step());
    return attachments;
  } catch (error) {
    attachments.close();
    throw error;
  }
}

/** The number that the flows' keys have for a namespace, so that a packet finds its flow. */
function namespaceNumbers(libc: Libc, map: number): (namespace: NetworkNamespace) => number | undefined {
  return (namespace) => {
    const key = libc.allocate(8);
    const value = libc.allocate(4);
    key.view.setBigUint64(
      0,
      namespace.run(() => namespaceCookie(libc)),
      true,
    );
    const result = mapAccess(libc).lookup(map, key, value);
    const number = value.view.getUint32(0, true);
    key.free();
    value.free();
    return result < 0 ? undefined : number;
  };
}

/** A device of a namespace as one number: 32 bits of index, 16 of namespace, and whether packets were dropped there. */
function placeOf(netns: number, index: number, isDropped: boolean): number {
  return ((isDropped ? 65_536 : 0) + netns) * 2 ** 32 + index;
}

function partsOf(place: number): [netns: number, index: number, isDropped: boolean] {
  const above = Math.floor(place / 2 ** 32);
  return [above & 0xffff, place % 2 ** 32, above >= 65_536];
}

interface Counts {
  readonly matched: number;
  readonly lost: number;
}

/** Reads what the kernel side counted for each device, over all CPUs. */
function countsReader(libc: Libc, map: number): { read(): Map<number, Counts>; close(): void } {
  const cpus = possibleCpus();
  const keys = libc.allocate(8 * BATCH);
  const values = libc.allocate(packetCountsLayout.size * cpus * BATCH);
  const cursor = libc.allocate(8);
  return {
    read() {
      const found = new Map<number, Counts>();
      readBatches(libc, map, { keys, values, cursor, capacity: BATCH }, (count) => {
        for (let entry = 0; entry < count; entry++) {
          let matched = 0;
          let lost = 0;
          for (let cpu = 0; cpu < cpus; cpu++) {
            const at = packetCountsLayout.size * (entry * cpus + cpu);
            matched += Number(values.view.getBigUint64(at + packetCountsLayout.matched, true));
            lost += Number(values.view.getBigUint64(at + packetCountsLayout.lost, true));
          }
          const above = keys.view.getUint32(8 * entry + 4, true);
          const place = placeOf(above & 0xffff, keys.view.getUint32(8 * entry, true), above >= 2 ** 31);
          found.set(place, { matched, lost });
        }
      });
      return found;
    },
    close() {
      for (const memory of [keys, values, cursor]) memory.free();
    },
  };
}

function put(libc: Libc, map: number, key: ArrayBufferView, value: ArrayBufferView): void {
  const memories = [key, value].map((each) => {
    const memory = libc.allocate(each.byteLength);
    memory.bytes.set(new Uint8Array(each.buffer, each.byteOffset, each.byteLength));
    return memory;
  }) as [Memory, Memory];
  const result = mapAccess(libc).update(map, ...memories);
  for (const memory of memories) memory.free();
  if (result < 0) throw kernelError("writing to a map of packet capture", result);
}

/** The frame's addresses with the tag that the device took out behind them (IEEE 802.1Q). */
function withTag(bytes: Uint8Array, vlan: number): Uint8Array {
  const head = new Uint8Array(ADDRESSES_BYTES + TAG_BYTES);
  head.set(bytes.subarray(0, ADDRESSES_BYTES));
  const view = new DataView(head.buffer);
  view.setUint16(ADDRESSES_BYTES, vlan >>> 16);
  view.setUint16(ADDRESSES_BYTES + 2, vlan & 0xffff);
  return head;
}
