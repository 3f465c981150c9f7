/**
 * The capturing side's heart: ring events and full reads of the kernel's flow map go into the flow table; from
 * there come answers, changes for followers, and sums. Runs in a worker thread; everything here is synchronous
 * but for the two timers.
 *
 * Reading rule: the kernel's totals are read before the map. Every packet in them is in some flow by then, so what
 * the flows lack was evicted and is lost: the figure can be late, never false.
 */
import { randomInt } from "node:crypto";
import type { Clock, Feature } from "@x0tta6bl4/core";
import { watchTranslations } from "../conntrack/watch.ts";
import type { FlowEvent } from "../event.ts";
import type { FlowChange, FlowList, FlowQuery } from "../flow.ts";
import { eventType, flowEventLayout, flowFlag, flowKeyLayout, flowLayout } from "../generated/layout.ts";
import { type DropReasons, kernelDropReasons } from "../insight/drop-reasons.ts";
import { createScanDetector } from "../insight/scans.ts";
import { deleteKeys, mapAccess, readBatches } from "../kernel/bpf.ts";
import { cgroupPaths } from "../kernel/cgroups.ts";
import type { Libc } from "../kernel/libc.ts";
import { openRing } from "../kernel/ring.ts";
import { partiesOf } from "../parties.ts";
import { protocolNumbers } from "../protocols.ts";
import type { CaptureOptions, FlowMaps, Totals } from "./contract.ts";
import { createCoverage } from "./coverage.ts";
import type { Names } from "./describe.ts";
import { createDropCounts } from "./drop-counts.ts";
import { createBatchWriter } from "./encode.ts";
import { openEncrypted } from "./encrypted.ts";
import { createFollowers } from "./followers.ts";
import { createInsight } from "./insight.ts";
import { createInsightSums } from "./insight-sums.ts";
import { joinableFlows } from "./joinable.ts";
import { createJoins } from "./joins.ts";
import { type KernelSide, openKernelSide } from "./kernel-side.ts";
import { createLearnedStore } from "./learned-store.ts";
import { createProcesses } from "./processes.ts";
import { compileQuery, parseCursor } from "./query.ts";
import { createRecorder, type RecordMessage } from "./recorder.ts";
import {
  createFlowTable,
  type Delta,
  FLOW_WORDS,
  KEY_WORDS,
  openedBySecond,
  protocolOf,
  TICK_MS,
  ticks,
  UNKNOWN,
  u64,
  word,
} from "./table.ts";
import { createTally } from "./tally.ts";
import { createUndecided } from "./undecided.ts";
import { createView } from "./view.ts";

const BATCH = 1024;
/** Packets of a closed connection that may still come: the last ACK, a retransmitted FIN. */
const LINGER_MS = 5000;
/** One of them says where a flow is seen, forwarded or not. */
const PLACE_KNOWN = flowFlag.forwarded | flowFlag.loopback | flowFlag.egressFirst;
/** A list within this time of the last read is answered from it. */
const READ_AGAIN_MS = 100;
const FIND_OWNERS_MS = 5000;
/** Translated connections known at once; as many as the kernel tracks on a small host by default. */
const MOST_TRANSLATED = 65_536;
/** Events that wait for followers: those of a second. */
const MOST_NEWS = 2000;

/** How long the ring may wait after a drain of so many events: a busy one is read often, a quiet one rarely. */
export function pollDelayMs(events: number): number {
  return events > 0 ? 5 : 20;
}

export interface Capture {
  /** Open as long as this is. */
  readonly maps: FlowMaps;
  features(): readonly Feature[];
  list(query: FlowQuery): FlowList;
  follow(id: number, query: FlowQuery, updates: boolean): void;
  unfollow(id: number): void;
  /** Sums as of now. */
  totals(): Totals;
  /** Sums as of the last read. */
  figures(): Totals;
  /** Reads the ring. @returns how many events there were. */
  drain(): number;
  /** Reads the whole map and ends what is over. */
  read(): void;
  /** Hands the recording side what happened since the last call. */
  record(): void;
  /** The recording side has taken a batch. */
  recorded(memory: ArrayBuffer): void;
  /** Device news, one waiting device at a time. @returns whether more devices wait. */
  tend(): boolean;
  close(): void;
}

export interface CaptureOutput {
  changes(id: number, changes: readonly FlowChange[], dropped: number): void;
  /** Only while somebody follows. */
  events(events: readonly FlowEvent[]): void;
  record(message: RecordMessage): void;
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
  const capacity = 2 * options.maxFlows + options.recentFlows;
  const table = createFlowTable(capacity, options.recentFlows);
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
  /** As of the latest drain or read: what a flow's `last` counts back from. */
  let nowNs = Number(clock.monotonicNs());
  let readMs = Number.NEGATIVE_INFINITY;
  let ownersMs = startedMs;
  let orphans = 0;
  let isFull = false;
  let lostPackets = 0;
  let lostBytes = 0;
  let kernelTotals = kernel.totals();

  const names: Names = {
    lastNs: (last) => nowNs - ((ticks(nowNs) - last) | 0) * TICK_MS * 1e6,
    wallMs: (monotonicNs) => offsetMs + monotonicNs / 1e6,
    namespaceInode: kernel.attachments.namespaceInode,
    interfaceName: kernel.attachments.interfaceName,
    process: processes.get,
  };
  let reasons: DropReasons | undefined;
  const reasonName = (reason: number): string => reasons?.name(reason) ?? String(reason);
  const seed = randomInt(2 ** 31);
  const learned = createLearnedStore(capacity);
  const joins = createJoins(table.raw);
  const view = createView({
    table,
    joins,
    learned,
    names,
    dnsNames: () => insight.names,
    reasonName,
    nowMs: clock.nowMs,
  });
  const flowOf = view.flow;
  const writer = createBatchWriter(names);
  const recorder = createRecorder({
    capacity,
    writer,
    write: (slot, change, earlier) => view.write(writer, slot, change, earlier),
    isActive: (slot) => table.isActive(slot) && !joins.isHidden(slot),
    counters: view.counters,
    send: output.record,
  });
  const coverage = createCoverage(clock);
  const sums = createInsightSums(options.bounds);
  let news: FlowEvent[] = [];
  let forgottenEvents = 0;
  const emit = (event: FlowEvent): void => {
    recorder.event(event);
    if (followers.count === 0) return;
    if (news.length < MOST_NEWS) news.push(event);
    else forgottenEvents++;
  };
  const insight = createInsight({
    flows: {
      slotOfId: table.slotOfId,
      flagsOf: table.flagsOf,
      kindOf: table.kindOf,
      flow: flowOf,
    },
    learned,
    places: names,
    sums,
    seed,
    nowMs: clock.nowMs,
    reasonName,
    emit,
    onLearned: recorder.learned,
    wantsRequests: () => options.recordRequests || followers.count > 0,
  });
  const scans = createScanDetector({
    scanThreshold: options.scanThreshold,
    floodThreshold: options.floodThreshold,
    seed,
    onFinding(finding) {
      sums.scan(finding.scan);
      const slot = table.slotOfId(finding.flowId >>> 0, Math.floor(finding.flowId / 2 ** 32));
      if (slot < 0) return;
      const time = new Date(clock.nowMs()).toISOString();
      const { scan, count, seconds } = finding;
      emit({ kind: "scan", ...partiesOf(flowOf(slot), time), scan, count, seconds });
    },
  });
  const encrypted = openEncrypted(libc, {
    services: options.opensslServices,
    flowsOf: (pids) => joinableFlows(table, pids),
    slotOf: (id) => table.slotOfId(id >>> 0, Math.floor(id / 2 ** 32)),
    flow: flowOf,
    learned,
    sums,
    wallMs: names.wallMs,
    emit,
    wantsRequests: () => options.recordRequests || followers.count > 0,
  });
  const drops = createDropCounts(libc, kernel.maps.drops);
  const translations = watchTranslations(libc, {
    namespaces: kernel.attachments.namespaces,
    max: MOST_TRANSLATED,
    onTranslated: ({ keys: pair }) => {
      const slots = [0, KEY_WORDS].map((at) => slotOfKey(pair, at)) as [number, number];
      joinPair(slots, pair);
    },
  });

  /** The slot of a flow by its key, through the kernel's map; -1 where there is none. */
  function slotOfKey(words: Uint32Array, at: number): number {
    removedKey.set(words.subarray(at, at + KEY_WORDS));
    return access.lookup(kernel.maps.flows, key, value) < 0 ? -1 : table.slotOf(removed, 0);
  }

  /** @param slots of the original and the translated tuple, -1 where there is no flow. */
  function joinPair(slots: readonly [number, number], pair: Uint32Array, at = 0): void {
    const [original, translated] = slots;
    if (original >= 0 && translated >= 0) joins.join(original, translated);
    else if (original >= 0) joins.note(original, pair, at + KEY_WORDS);
    else if (translated >= 0) joins.note(translated, pair, at);
    if (original >= 0) recorder.learned(original);
  }

  const enterFresh = (keyWords: Uint32Array, keyAt: number, words: Uint32Array, flowAt: number): void => {
    // A flood beyond the table: the next read finds the flow if the kernel still has it, else it counts as lost.
    if (table.room === 0) {
      isFull = true;
      return;
    }
    const slot = table.add(keyWords, keyAt, words, flowAt, delta);
    learned.clear(slot);
    joins.clear(slot);
    const flags = words[flowAt + word.flags] as number;
    if (isRing && (flags & PLACE_KNOWN) === 0) undecided.add(slot, delta);
    else tally.add(flags, keyWords[keyAt + word.kind] as number, delta, true);
    // Now, while the process lives.
    for (const side of [0, 2])
      processes.note(
        words[flowAt + word.process + side] as number,
        words[flowAt + word.process + side + 1] as number,
      );
    const kind = keyWords[keyAt + word.kind] as number;
    if (isOrphan(flags, kind)) orphans++;
    const other = translations.translations.find(keyWords, keyAt);
    if (other >= 0) {
      const { keys: pairs, isOriginal } = translations.translations;
      const isFirst = !isOriginal(other);
      const there = slotOfKey(pairs, other);
      joinPair(isFirst ? [slot, there] : [there, slot], pairs, isFirst ? other - KEY_WORDS : other);
    }
    if (joins.isHidden(slot)) return;
    watchForScans(keyWords, keyAt, words, flowAt);
    recorder.started(slot);
    followers.started(slot);
  };

  const watchForScans = (keyWords: Uint32Array, keyAt: number, words: Uint32Array, flowAt: number): void => {
    const flags = words[flowAt + word.flags] as number;
    const protocol = protocolOf(keyWords[keyAt + word.kind] as number);
    const opener = openedBySecond(flags) ? 1 : 0;
    const hasPorts = protocol === protocolNumbers.tcp || protocol === protocolNumbers.udp;
    const ports = keyWords[keyAt + word.port] as number;
    scans.flow(
      keyWords,
      keyAt + 4 * opener,
      keyAt + 4 * (1 - opener),
      !hasPorts ? 0 : opener === 0 ? ports >>> 16 : ports & 0xffff,
      protocol,
      clock.nowMs(),
      // What has no SYN opens with its first packet.
      protocol !== protocolNumbers.tcp || (flags & flowFlag.openerGuessed) === 0,
      u64(words, flowAt + word.id),
    );
  };

  /** Enters a report. What runs for every flow of a read is kept this small so that it is inlined there. */
  const enter = (keyWords: Uint32Array, keyAt: number, words: Uint32Array, flowAt: number): void => {
    const slot = table.update(words, flowAt, delta);
    if (slot >= 0) {
      tally.add(words[flowAt + word.flags] as number, keyWords[keyAt + word.kind] as number, delta, false);
      if (!joins.isHidden(slot)) followers.updated(slot);
    } else if (slot === UNKNOWN) enterFresh(keyWords, keyAt, words, flowAt);
  };

  const finish = (slot: number): void => {
    if (!table.isActive(slot)) return;
    const { words, flow } = table.raw(slot);
    insight.ended(u64(words, flow + word.id));
    table.end(slot);
    if (joins.isHidden(slot)) return;
    recorder.ended(slot);
    followers.ended(slot);
  };

  const takeFlow = (words: Uint32Array, at: number): void => {
    const flowAt = at + flowEventLayout.flow / 4;
    enter(words, at + flowEventLayout.key / 4, words, flowAt);
    if (words[at] !== eventType.flowReplaced) return;
    const slot = table.slotOf(words, flowAt);
    if (slot >= 0) finish(slot);
  };

  const takeEvent = (words: Uint32Array, at: number): void => {
    const type = words[at];
    if (type === eventType.payload) insight.payload(words, at);
    else if (type === eventType.exchange) insight.exchange(words, at);
    else if (type === eventType.tcp) insight.connection(words, at);
    else if (type === eventType.drop) insight.drop(words, at);
    else takeFlow(words, at);
  };

  const drainRing = (): number => {
    // The kernel tells of a translation before the translated packet makes its flow: with these in order, both halves
    // of a connection are known as such when the second one comes.
    const until = ring.produced();
    nowNs = Number(clock.monotonicNs());
    translations.poll(clock.nowMs());
    encrypted.read();
    isRing = true;
    const count = ring.drain(takeEvent, undefined, until);
    isRing = false;
    return count;
  };

  const drain = (): number => {
    const count = drainRing();
    tell();
    return count;
  };

  const tell = (): void => {
    followers.flush(flowOf);
    if (news.length === 0) return;
    output.events(news);
    news = [];
  };

  /** Takes a flow out of the kernel's map with its very last figures. */
  const remove = (slot: number): void => {
    const { words, key: at } = table.raw(slot);
    removedKey.set(words.subarray(at, at + KEY_WORDS));
    if (access.lookupAndDelete(kernel.maps.flows, key, value) >= 0) enter(removedKey, 0, removed, 0);
    finish(slot);
  };

  /**
   * Idle flows go one by one, since a packet may have come meanwhile. Closed ones have lingered long enough, and a
   * server of many short connections has thousands of them: they go together.
   */
  const removeAll = (slots: readonly number[]): void => {
    let count = 0;
    const flush = (): void => {
      deleteKeys(libc, kernel.maps.flows, keys, flowKeyLayout.size, count);
      count = 0;
    };
    // A port used again tells here that its key belongs to another flow by now.
    drainRing();
    for (const slot of slots) {
      if (slot < 0 || !table.isActive(slot)) continue;
      if ((table.flagsOf(slot) & flowFlag.closed) === 0) {
        remove(slot);
        continue;
      }
      const { words, key: at } = table.raw(slot);
      batchKeys.set(words.subarray(at, at + KEY_WORDS), count * KEY_WORDS);
      if (++count === BATCH) flush();
      finish(slot);
    }
    flush();
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

  /** The same of both halves of a translated connection together. */
  const isConnectionOver = (slot: number, nowTicks: number): boolean => {
    const { words, key: keyAt, flow } = view.raw(slot);
    const idleTicks = (nowTicks - (words[flow + word.last] as number)) | 0;
    return idleTicks > lingerTicks && isOver(words[keyAt + word.kind] as number, words, flow, idleTicks);
  };

  function read(): void {
    readMap();
    // Only the end of a read makes room: what found none is met by the next.
    if (isFull) readMap();
    insight.expire(Number(clock.monotonicNs()));
    scans.expire(clock.nowMs());
    encrypted.join(clock.nowMs());
    tell();
  }

  function readMap(): void {
    drainRing();
    // What the ring tells meanwhile may be ahead of the map's walk.
    const due = undecided.count;
    const before = kernel.totals();
    nowNs = Number(clock.monotonicNs());
    const offset = clock.nowMs() - nowNs / 1e6;
    // A step of the clock or a suspended machine; jitter must not move the times of flows.
    if (Math.abs(offset - offsetMs) > 1000) {
      coverage.stepped(offset - offsetMs);
      offsetMs = offset;
    }
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
        if (idleTicks <= lingerTicks) continue;
        const slot = table.slotOf(batchValues, flowAt);
        const isDone =
          joins.partnerOf(slot) < 0
            ? isOver(batchKeys[keyAt + word.kind] as number, batchValues, flowAt, idleTicks)
            : isConnectionOver(slot, nowTicks);
        if (isDone) over.push(slot);
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
    removeAll(over);
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

  const figures = (): Totals => ({
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
    insight: {
      ...sums.totals(),
      drops: [...drops.read()].map(([reason, packets]) => [reasonName(reason), packets]),
      skipped: kernelTotals.skipped,
      forgottenEvents,
    },
    unrecorded: recorder.unrecorded,
  });

  return {
    maps: {
      flows: kernel.maps.flows,
      processes: kernel.maps.processes,
      namespaces: kernel.maps.namespaces,
      cgroupRoot: kernel.cgroupRoot,
    },
    features: () => [...kernel.features(), translations.feature(), ...encrypted.features()],
    list(query) {
      refresh();
      const nowMs = clock.nowMs();
      const matches = compileQuery(query, nowMs, names);
      const after = query.after === undefined ? undefined : parseCursor(query.after);
      const limit = Math.min(query.limit, query.last ?? query.limit);
      const slots: number[] = [];
      let next: string | null = null;
      let cursorOfLast: string | null = null;
      for (const slot of table.newestFirst()) {
        if (joins.isHidden(slot)) continue;
        const raw = view.raw(slot);
        const firstNs = u64(raw.words, raw.flow + word.firstNs);
        const id = u64(raw.words, raw.flow + word.id);
        if (after !== undefined && (firstNs > after.firstNs || (firstNs === after.firstNs && id >= after.id)))
          continue;
        if (!matches(slot, raw, flowOf)) continue;
        if (slots.length === limit) {
          // `last` is all that was asked for.
          if (query.last !== limit) next = cursorOfLast;
          break;
        }
        slots.push(slot);
        cursorOfLast = `${firstNs}-${id}`;
      }
      return {
        flows: view.flows(slots),
        next,
        covers: {
          from: new Date(startedMs).toISOString(),
          to: new Date(readMs).toISOString(),
          lostPackets,
        },
      };
    },
    follow(id, query, updates) {
      const matches = compileQuery(query, clock.nowMs(), names);
      followers.add(id, (slot) => matches(slot, view.raw(slot), flowOf), updates);
    },
    unfollow: (id) => followers.remove(id),
    totals() {
      refresh();
      return figures();
    },
    figures,
    drain,
    read,
    record: () =>
      recorder.flush(
        coverage.take({
          lostPackets,
          lostBytes,
          lostEvents: kernelTotals.lostEvents,
          uncounted: kernelTotals.uncounted,
        }),
      ),
    recorded: recorder.taken,
    tend() {
      if (reasons === undefined) {
        // Not before the first devices are watched: it takes 30 ms.
        reasons = kernelDropReasons();
        kernel.watchDrops(reasons);
      }
      kernel.attachments.poll();
      kernel.noteNamespaces();
      return kernel.attachments.step();
    },
    close() {
      ring.close();
      encrypted.close();
      translations.close();
      drops.close();
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
