/**
 * The capturing side's heart: ring events and full reads of the kernel's flow map go into the flow table; from
 * there come answers, changes for followers, and sums. Runs in a worker thread; everything here is synchronous
 * but for the two timers.
 *
 * Reading rule: the kernel's totals are read before the map. Every packet in them is in some flow by then, so what
 * the flows lack was evicted and is lost: the figure can be late, never false.
 */
import { type Clock, type Feature, parseMoment } from "@x0tta6bl4/core";
import { flowsFail } from "../errors.ts";
import { parseAddressPrefix, processTest, requireProtocol } from "../filter.ts";
import type { Flow, FlowChange, FlowList, FlowQuery } from "../flow.ts";
import { eventType, flowEventLayout, flowFlag, flowKeyLayout, flowLayout } from "../generated/layout.ts";
import { mapAccess, readBatches } from "../kernel/bpf.ts";
import { cgroupPaths } from "../kernel/cgroups.ts";
import type { Libc } from "../kernel/libc.ts";
import { openRing } from "../kernel/ring.ts";
import { protocolNumbers } from "../protocols.ts";
import type { CaptureOptions, Totals } from "./contract.ts";
import { describe, type Names, passes, type RawFilter } from "./describe.ts";
import { createFollowers } from "./followers.ts";
import { type KernelSide, openKernelSide } from "./kernel-side.ts";
import { createProcesses } from "./processes.ts";
import {
  createFlowTable,
  type Delta,
  FLOW_WORDS,
  KEY_WORDS,
  protocolOf,
  type Raw,
  TICK_MS,
  ticks,
  UNKNOWN,
  u64,
  word,
} from "./table.ts";
import { createTally } from "./tally.ts";
import { createUndecided } from "./undecided.ts";

const BATCH = 1024;
/** Packets of a closed connection that may still come: the last ACK, a retransmitted FIN. */
const LINGER_MS = 5000;
/** One of them says where a flow is seen, forwarded or not. */
const PLACE_KNOWN = flowFlag.forwarded | flowFlag.loopback | flowFlag.egressFirst;
/** A list within this time of the last read is answered from it. */
const READ_AGAIN_MS = 100;
const FIND_OWNERS_MS = 5000;

/** How long the ring may wait after a drain of so many events: a busy one is read often, a quiet one rarely. */
export function pollDelayMs(events: number): number {
  return events > 0 ? 5 : 20;
}

export interface Capture {
  features(): readonly Feature[];
  list(query: FlowQuery): FlowList;
  follow(id: number, query: FlowQuery, updates: boolean): void;
  unfollow(id: number): void;
  totals(): Totals;
  /** Reads the ring. @returns how many events there were. */
  drain(): number;
  /** Reads the whole map and ends what is over. */
  read(): void;
  /** Device news, one waiting device at a time. @returns whether more devices wait. */
  tend(): boolean;
  close(): void;
}

export interface CaptureOutput {
  changes(id: number, changes: readonly FlowChange[], dropped: number): void;
}

/**
 * @param kernel where the figures come from; closed with the capture.
 * @throws what `openKernelSide` throws
 */
export function openCapture(
  libc: Libc,
  options: CaptureOptions,
  clock: Clock,
  output: CaptureOutput,
  kernel: KernelSide = openKernelSide(libc, options),
): Capture {
  // Idle times below the linger time hold too.
  const lingerTicks = Math.min(LINGER_MS, options.idleMs, options.tcpIdleMs) / TICK_MS;
  // Twice what the kernel keeps: until the next read, flows that it has evicted still count as active.
  const table = createFlowTable(2 * options.maxFlows + options.recentFlows, options.recentFlows);
  const tally = createTally();
  const undecided = createUndecided();
  /** Whether what is entered comes from the ring, not from a read of the map. */
  let isRing = false;
  const followers = createFollowers(output);
  const cgroups = kernel.cgroupRoot === undefined ? undefined : cgroupPaths(kernel.cgroupRoot, clock.nowMs);
  const processes = createProcesses(libc, kernel.maps.processes, { cgroups, nowMs: clock.nowMs });
  const ring = openRing(libc, kernel.maps.events, options.ringBytes);
  const keys = libc.allocate(BATCH * flowKeyLayout.size);
  const values = libc.allocate(BATCH * flowLayout.size);
  const cursor = libc.allocate(8);
  const key = libc.allocate(flowKeyLayout.size);
  const value = libc.allocate(flowLayout.size);
  const batchKeys = new Uint32Array(keys.bytes.buffer);
  const batchValues = new Uint32Array(values.bytes.buffer);
  const removedKey = new Uint32Array(key.bytes.buffer, 0, KEY_WORDS);
  const removed = new Uint32Array(value.bytes.buffer, 0, FLOW_WORDS);
  const access = mapAccess(libc);
  const delta: Delta = new Float64Array(4);
  const startedMs = clock.nowMs();
  let offsetMs = startedMs - Number(clock.monotonicNs()) / 1e6;
  let readMs = Number.NEGATIVE_INFINITY;
  let ownersMs = startedMs;
  let orphans = 0;
  let isFull = false;
  let lostPackets = 0;
  let lostBytes = 0;
  let kernelTotals = kernel.totals();

  const names: Names = {
    lastNs(last) {
      const now = Number(clock.monotonicNs());
      return now - ((ticks(now) - last) | 0) * TICK_MS * 1e6;
    },
    wallMs: (monotonicNs) => offsetMs + monotonicNs / 1e6,
    namespaceInode: kernel.attachments.namespaceInode,
    interfaceName: kernel.attachments.interfaceName,
    process: processes.get,
  };
  const flowOf = (slot: number): Flow => describe(table.raw(slot), table.isActive(slot), names);

  const enterFresh = (keyWords: Uint32Array, keyAt: number, words: Uint32Array, flowAt: number): void => {
    // A flood beyond the table: the next read finds the flow if the kernel still has it, else it counts as lost.
    if (table.room === 0) {
      isFull = true;
      return;
    }
    const slot = table.add(keyWords, keyAt, words, flowAt, delta);
    const flags = words[flowAt + word.flags] as number;
    if (isRing && (flags & PLACE_KNOWN) === 0) undecided.add(slot, delta);
    else tally.add(flags, keyWords[keyAt + word.kind] as number, delta, true);
    // Now, while the process lives.
    for (const side of [0, 2])
      processes.note(
        words[flowAt + word.process + side] as number,
        words[flowAt + word.process + side + 1] as number,
      );
    if (isOrphan(words[flowAt + word.flags] as number, keyWords[keyAt + word.kind] as number)) orphans++;
    followers.started(slot);
  };

  /** Enters a report. What runs for every flow of a read is kept this small so that it is inlined there. */
  const enter = (keyWords: Uint32Array, keyAt: number, words: Uint32Array, flowAt: number): void => {
    const slot = table.update(words, flowAt, delta);
    if (slot >= 0) {
      tally.add(words[flowAt + word.flags] as number, keyWords[keyAt + word.kind] as number, delta, false);
      followers.updated(slot);
    } else if (slot === UNKNOWN) enterFresh(keyWords, keyAt, words, flowAt);
  };

  const finish = (slot: number): void => {
    if (!table.isActive(slot)) return;
    table.end(slot);
    followers.ended(slot);
  };

  const drainRing = (): number => {
    isRing = true;
    const count = ring.drain((words, at) => {
      const keyAt = at + flowEventLayout.key / 4;
      const flowAt = at + flowEventLayout.flow / 4;
      enter(words, keyAt, words, flowAt);
      if (words[at] !== eventType.flowReplaced) return;
      const slot = table.slotOf(words, flowAt);
      if (slot >= 0) finish(slot);
    });
    isRing = false;
    return count;
  };

  const drain = (): number => {
    const count = drainRing();
    followers.flush(flowOf);
    return count;
  };

  /** Takes a flow out of the kernel's map with its very last figures. */
  const remove = (slot: number): void => {
    const { words, key: at } = table.raw(slot);
    removedKey.set(words.subarray(at, at + KEY_WORDS));
    if (access.lookupAndDelete(kernel.maps.flows, key, value) >= 0) enter(removedKey, 0, removed, 0);
    finish(slot);
  };

  /** Whether a flow in its kernel form has seen its last packet; asked only of those that are idle for a while. */
  const isOver = (kind: number, words: Uint32Array, flowAt: number, idleTicks: number): boolean => {
    if ((words[flowAt + word.flags] as number) & flowFlag.closed) return true;
    const idleMs = idleTicks * TICK_MS;
    if (idleMs <= options.idleMs) return false;
    if (protocolOf(kind) !== protocolNumbers.tcp) return true;
    const isAnswered = [0, 2].every((side) => u64(words, flowAt + word.packets + side) > 0);
    return !isAnswered || idleMs > options.tcpIdleMs;
  };

  function read(): void {
    readMap();
    // Only the end of a read makes room: what found none is met by the next.
    if (isFull) readMap();
    followers.flush(flowOf);
  }

  function readMap(): void {
    drainRing();
    // What the ring tells meanwhile may be ahead of the map's walk.
    const due = undecided.count;
    const before = kernel.totals();
    const nowNs = Number(clock.monotonicNs());
    const offset = clock.nowMs() - nowNs / 1e6;
    // A step of the clock or a suspended machine; jitter must not move the times of flows.
    if (Math.abs(offset - offsetMs) > 1000) offsetMs = offset;
    const nowTicks = ticks(nowNs);
    const over: number[] = [];
    isFull = false;
    table.beginRead();
    readBatches(libc, kernel.maps.flows, { keys, values, cursor, capacity: BATCH }, (count) => {
      for (let index = 0; index < count; index++) {
        const keyAt = index * KEY_WORDS;
        const flowAt = index * FLOW_WORDS;
        enter(batchKeys, keyAt, batchValues, flowAt);
        const idleTicks = (nowTicks - (batchValues[flowAt + word.last] as number)) | 0;
        if (
          idleTicks > lingerTicks &&
          isOver(batchKeys[keyAt + word.kind] as number, batchValues, flowAt, idleTicks)
        )
          over.push(table.slotOf(batchValues, flowAt));
      }
      // A full read takes long enough for a busy ring to fill.
      drainRing();
    });
    for (const [index, slot] of table.endRead().entries()) {
      finish(slot);
      if (index % BATCH === 0) drainRing();
    }
    let settled = 0;
    undecided.settle(due, (slot, first) => {
      tally.add(table.flagsOf(slot), table.kindOf(slot), first, true);
      if (++settled % BATCH === 0) drainRing();
    });
    for (const slot of over) if (slot >= 0) remove(slot);
    // What found no room may still be in the map: not lost before a read has taken everything.
    if (!isFull) {
      lostPackets = Math.max(lostPackets, before.packets - tally.packets - undecided.packets);
      lostBytes = Math.max(lostBytes, before.bytes - tally.bytes - undecided.bytes);
    }
    kernelTotals = before;
    readMs = clock.nowMs();
    if (orphans > 0 && readMs - ownersMs > FIND_OWNERS_MS) {
      orphans = 0;
      ownersMs = readMs;
      kernel.findOwners();
    }
  }

  const refresh = (): void => {
    if (clock.nowMs() - readMs > READ_AGAIN_MS) read();
    else drain();
  };

  const totals = (): Totals => ({
    timeMs: clock.nowMs(),
    traffic: tally.traffic().filter((one) => one.flows > 0 || one.packets > 0),
    active: table.active,
    lost: {
      events: kernelTotals.lostEvents,
      packets: lostPackets,
      bytes: lostBytes,
      uncounted: kernelTotals.uncounted,
    },
    notIp: kernelTotals.notIp,
    malformed: kernelTotals.malformed,
    programs: kernelTotals.programs,
  });

  return {
    features: () => kernel.features(),
    list(query) {
      refresh();
      const nowMs = clock.nowMs();
      const matches = compile(query, nowMs, names);
      const after = query.after === undefined ? undefined : parseCursor(query.after);
      const limit = Math.min(query.limit, query.last ?? query.limit);
      const flows: Flow[] = [];
      let next: string | null = null;
      let cursorOfLast: string | null = null;
      for (const slot of table.newestFirst()) {
        const raw = table.raw(slot);
        const firstNs = u64(raw.words, raw.flow + word.firstNs);
        const id = u64(raw.words, raw.flow + word.id);
        if (after !== undefined && (firstNs > after.firstNs || (firstNs === after.firstNs && id >= after.id)))
          continue;
        if (!matches(raw)) continue;
        if (flows.length === limit) {
          // `last` is all that was asked for.
          if (query.last !== limit) next = cursorOfLast;
          break;
        }
        flows.push(flowOf(slot));
        cursorOfLast = `${firstNs}-${id}`;
      }
      return {
        flows,
        next,
        covers: {
          from: new Date(startedMs).toISOString(),
          to: new Date(readMs).toISOString(),
          lostPackets,
        },
      };
    },
    follow(id, query, updates) {
      const filter = compile(query, clock.nowMs(), names);
      followers.add(id, (slot) => filter(table.raw(slot)), updates);
    },
    unfollow: (id) => followers.remove(id),
    totals() {
      refresh();
      return totals();
    },
    drain,
    read,
    tend() {
      kernel.attachments.poll();
      return kernel.attachments.step();
    },
    close() {
      ring.close();
      kernel.close();
      processes.close();
      for (const memory of [keys, values, cursor, key, value]) memory.free();
    },
  };
}

/** Whether a socket of this host sent the first packet and nobody is known to own it. */
function isOrphan(flags: number, kind: number): boolean {
  const protocol = protocolOf(kind);
  const hasSocket = protocol === protocolNumbers.tcp || protocol === protocolNumbers.udp;
  return hasSocket && (flags & flowFlag.egressFirst) !== 0 && (flags & (3 * flowFlag.owned)) === 0;
}

/** All filters of a query over the kernel form; the process, which costs most, last. @throws X0_FLOWS_INVALID_FILTER */
function compile(query: FlowQuery, nowMs: number, names: Names): (raw: Raw) => boolean {
  const filter: RawFilter = {
    ...(query.protocol === undefined ? {} : { protocol: requireProtocol(query.protocol) }),
    ...(query.port === undefined ? {} : { port: query.port }),
    ...(query.ip === undefined ? {} : { prefix: parseAddressPrefix(query.ip) }),
    ...(query.since === undefined ? {} : { sinceMs: parseMoment(query.since, nowMs) }),
    ...(query.until === undefined ? {} : { untilMs: parseMoment(query.until, nowMs) }),
  };
  const isWanted = query.process === undefined ? undefined : processTest(query.process);
  return (raw) => {
    if (!passes(raw, filter, names)) return false;
    if (isWanted === undefined) return true;
    return [0, 2].some((side) => {
      const at = raw.flow + word.process + side;
      return isWanted(names.process(raw.words[at] as number, raw.words[at + 1] as number));
    });
  };
}

/** @throws X0_FLOWS_INVALID_FILTER */
function parseCursor(text: string): { firstNs: number; id: number } {
  const match = /^(\d+)-(\d+)$/.exec(text);
  if (match === null)
    throw flowsFail("X0_FLOWS_INVALID_FILTER", `after cannot be "${text}"`, {
      hint: "pass `next` of the answer before",
    });
  return { firstNs: Number(match[1]), id: Number(match[2]) };
}
