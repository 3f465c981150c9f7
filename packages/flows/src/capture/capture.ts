/**
 * The capturing side's heart: ring events and full reads of the kernel's flows go into the flow table; from
 * there come answers, changes for followers, and sums. Runs in a worker thread; everything here is synchronous
 * but for the two timers.
 *
 * Reading rule: the kernel's totals are read before the flows. Every packet in them is in some flow by then, so what
 * the flows lack was told by an event that found no room in the ring: the figure can be late, never false.
 *
 * So long because ring and read enter flows by the same few functions, which share one delta and all that is told.
 */
import { randomInt } from "node:crypto";
import type { Clock, Feature } from "@x0tta6bl4/core";
import type { FlowEvent } from "../event.ts";
import type { FlowChange, FlowList, FlowQuery } from "../flow.ts";
import { eventType, flowEventLayout, flowFlag } from "../generated/layout.ts";
import { kernelDropReasons } from "../insight/drop-reasons.ts";
import { cgroupPaths } from "../kernel/cgroups.ts";
import { ELEMENT_WORDS, flowTableMaps, openKernelFlows, WHOLE_WORDS } from "../kernel/flow-table.ts";
import type { Libc } from "../kernel/libc.ts";
import { openRing } from "../kernel/ring.ts";
import { type KernelEnforcement, openEnforcement } from "../policy/enforce/enforcement.ts";
import { protocolNumbers, tcpFlag } from "../protocols.ts";
import type { CaptureOptions, FlowMaps, Totals } from "./contract.ts";
import { createCoverage } from "./coverage.ts";
import type { Names } from "./describe.ts";
import { createDropCounts } from "./drop-counts.ts";
import { createBatchWriter } from "./encode.ts";
import { openEncrypted } from "./encrypted.ts";
import { createEndings } from "./endings.ts";
import { createFollowers } from "./followers.ts";
import { createInsight } from "./insight.ts";
import { createInsightSums } from "./insight-sums.ts";
import { joinableFlows } from "./joinable.ts";
import { createJoins } from "./joins.ts";
import { createJudgements } from "./judgements.ts";
import { type KernelSide, openKernelSide } from "./kernel-side.ts";
import { createLearnedStore } from "./learned-store.ts";
import { listFlows } from "./listing.ts";
import { createOrphans } from "./orphans.ts";
import { createProcesses } from "./processes.ts";
import { compileEventFilter, compileQuery } from "./query.ts";
import { createRecorder, type RecordMessage } from "./recorder.ts";
import { createRemoval } from "./removal.ts";
import { createScanWatch } from "./scan-watch.ts";
import {
  createDelta,
  createFlowTable,
  elementOf,
  hasCounted,
  KEY_WORDS,
  protocolOf,
  TICK_MS,
  ticks,
  UNKNOWN,
  u64,
  word,
} from "./table.ts";
import { createTally } from "./tally.ts";
import { createTranslation } from "./translation.ts";
import { createUndecided } from "./undecided.ts";
import { createView } from "./view.ts";

/** So many flows are read, and the ring meanwhile fills. */
const BATCH = 4096;
/** One of them says where a flow is seen, forwarded or not. */
const PLACE_KNOWN = flowFlag.forwarded | flowFlag.loopback | flowFlag.egressFirst;
/** A list within this time of the last read is answered from it. */
const READ_AGAIN_MS = 100;

/** Whether both sides were seen to answer: no stranger does that in another's name. */
function isOpenTcp(kind: number, flags: number): boolean {
  const answers = (tcpFlag.ACK << flowFlag.tcpFlags) | (tcpFlag.ACK << (flowFlag.tcpFlags + 8));
  return (
    protocolOf(kind) === protocolNumbers.tcp &&
    (flags & flowFlag.closed) === 0 &&
    (flags & answers) === answers
  );
}

export interface Capture {
  /** Open as long as this is. */
  readonly maps: FlowMaps;
  readonly enforcement: KernelEnforcement;
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
  /** Events that were taken from the ring since the start. */
  drained(): number;
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
  events(id: number, events: readonly FlowEvent[]): void;
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
  const capacity = options.maxFlows + options.recentFlows;
  const table = createFlowTable(options.maxFlows, options.recentFlows);
  const tally = createTally();
  const undecided = createUndecided();
  /** What is entered comes from the ring, not from a read of the map. */
  let isRing = false;
  /** Whether the kernel side tells it as a beginning: of a translated half also without a packet. */
  let isBeginning = false;
  let drained = 0;
  const followers = createFollowers(output);
  const cgroups = kernel.cgroupRoot === undefined ? undefined : cgroupPaths(kernel.cgroupRoot, clock.nowMs);
  const processes = createProcesses(libc, kernel.maps.processes, { cgroups, nowMs: clock.nowMs });
  const ring = openRing(libc, kernel.maps.events, options.ringBytes);
  const flows = openKernelFlows(libc, kernel.maps, options.maxFlows);
  /** A flow as an event has it: key, the rest, cookies. */
  const copied = new Uint32Array(WHOLE_WORDS);
  const delta = createDelta();
  const startedMs = clock.nowMs();
  let offsetMs = startedMs - Number(clock.monotonicNs()) / 1e6;
  /** As of the latest drain or read: what a flow's `last` counts back from. */
  let nowNs = Number(clock.monotonicNs());
  let readMs = Number.NEGATIVE_INFINITY;
  const orphans = createOrphans(startedMs, kernel.findOwners);
  let lostPackets = 0;
  let lostBytes = 0;
  let kernelTotals = kernel.totals();

  const names: Names = {
    lastNs: (last) => nowNs - ((ticks(nowNs) - last) | 0) * TICK_MS * 1e6,
    wallMs: (monotonicNs) => offsetMs + monotonicNs / 1e6,
    namespaceInode: kernel.attachments.namespaceInode,
    interfaceName: kernel.attachments.interfaceName,
    process: processes.get,
    rule: (verdict) => enforcement.rule(verdict),
  };
  const reasons = kernelDropReasons();
  kernel.watchDrops(reasons);
  const reasonName = reasons.name;
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
  const emit = (event: FlowEvent): void => {
    recorder.event(event);
    if (followers.count > 0) followers.happened(event, event.flow === null ? -1 : slotOf(Number(event.flow)));
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
  const slotOf = (id: number): number => table.slotOfId(id >>> 0, Math.floor(id / 2 ** 32));
  const scans = createScanWatch({
    scanThreshold: options.scanThreshold,
    floodThreshold: options.floodThreshold,
    seed,
    clock,
    sums,
    flowOfId(id) {
      const slot = slotOf(id);
      return slot < 0 ? undefined : flowOf(slot);
    },
    emit,
  });
  const encrypted = openEncrypted(libc, {
    services: options.opensslServices,
    flowsOf: (pids) => joinableFlows(table, pids),
    slotOf,
    flow: flowOf,
    learned,
    sums,
    wallMs: names.wallMs,
    emit,
    wantsRequests: () => options.recordRequests || followers.count > 0,
  });
  const drops = createDropCounts(libc, kernel.maps.drops);
  const enforcement = openEnforcement(libc, {
    maps: kernel.maps,
    admit: kernel.admit,
    nowMs: clock.nowMs,
    nowTicks: () => ticks(Number(clock.monotonicNs())),
    ticksOf: (milliseconds) => milliseconds / TICK_MS,
    tcpIdleMs: options.tcpIdleMs,
    judge: kernel.attachments.judge,
    pins: kernel.pins,
    judgeSockets: kernel.judgeSockets,
    links: kernel.judgingLinks,
  });
  const judgements = createJudgements(capacity, enforcement.sums);
  const translation = createTranslation(libc, { kernel, flows, table, joins, onJoined: recorder.learned });
  const endings = createEndings(options, joins, view.raw);

  const enterFresh = (keyWords: Uint32Array, keyAt: number, words: Uint32Array, flowAt: number): void => {
    // It was expelled, and its figures were known, or the event that told them found no room.
    const gone = table.occupant(words, flowAt);
    if (gone >= 0) giveWay(gone);
    const slot = table.add(keyWords, keyAt, words, flowAt, delta);
    flows.know(elementOf(words[flowAt + word.id] as number), words, keyAt);
    learned.clear(slot);
    joins.clear(slot);
    // It was met at a device that is left out, or so far only above the device that counts.
    if (!isBeginning && !hasCounted(delta)) joins.hide(slot);
    else introduce(keyWords, keyAt, words, flowAt);
  };

  /** A flow begins for all who are told of any. */
  const introduce = (keyWords: Uint32Array, keyAt: number, words: Uint32Array, flowAt: number): void => {
    const slot = table.slotOf(words, flowAt);
    const flags = words[flowAt + word.flags] as number;
    if (isRing && (flags & PLACE_KNOWN) === 0) undecided.add(slot, delta);
    else tally.add(flags, keyWords[keyAt + word.kind] as number, delta, true);
    if (enforcement.isJudging) judgements.began(slot, words[flowAt + word.verdict] as number, delta);
    // Now, while the process lives.
    const owner = flowAt + word.process;
    processes.note(words[owner] as number, words[owner + 1] as number);
    processes.note(words[owner + 2] as number, words[owner + 3] as number);
    orphans.note(flags, keyWords[keyAt + word.kind] as number);
    translation.entered(slot, keyWords, keyAt);
    if (joins.isHidden(slot)) return;
    scans.flow(keyWords, keyAt, words, flowAt);
    recorder.started(slot);
    followers.started(slot);
  };

  /** Enters a report. What runs for every flow of a read is kept this small so that it is inlined there. */
  const enter = (keyWords: Uint32Array, keyAt: number, words: Uint32Array, flowAt: number): void => {
    const slot = table.update(words, flowAt, delta);
    if (slot >= 0) {
      flows.know(elementOf(words[flowAt + word.id] as number), words, keyAt);
      if (joins.isHidden(slot) && hasCounted(delta) && joins.reveal(slot)) {
        introduce(keyWords, keyAt, words, flowAt);
        return;
      }
      tally.add(words[flowAt + word.flags] as number, keyWords[keyAt + word.kind] as number, delta, false);
      const verdict = words[flowAt + word.verdict] as number;
      if (verdict !== 0) judgements.met(slot, verdict, delta);
      if (delta[4] !== 0) recorder.learned(slot);
      if (!joins.isHidden(slot)) followers.updated(slot);
    } else if (slot === UNKNOWN) enterFresh(keyWords, keyAt, words, flowAt);
  };

  const finish = (slot: number): void => {
    if (!table.isActive(slot)) return;
    const { words, flow } = table.raw(slot);
    insight.ended(u64(words, flow + word.id));
    judgements.settle(slot, words[flow + word.verdict] as number);
    table.end(slot);
    if (joins.isHidden(slot)) return;
    recorder.ended(slot);
    followers.ended(slot);
  };

  /** Its connection may go on. */
  const giveWay = (slot: number): void => {
    const { words, flow } = table.raw(slot);
    if (table.isActive(slot) && isOpenTcp(table.kindOf(slot), words[flow + word.flags] as number))
      enforcement.evicted(
        words[flow + word.id] as number,
        words[flow + word.id + 1] as number,
        words[flow + word.last] as number,
      );
    finish(slot);
  };

  const takeFlow = (words: Uint32Array, at: number): void => {
    const keyAt = at + flowEventLayout.flow / 4;
    const flowAt = keyAt + KEY_WORDS;
    // It was changing hands when it was told of: whoever had it is told of by another event.
    if (words[flowAt + word.id] === 0 && words[flowAt + word.id + 1] === 0) return;
    isBeginning = words[at] === eventType.flowNew;
    enter(words, keyAt, words, flowAt);
    isBeginning = false;
    const slot = table.slotOf(words, flowAt);
    if (slot < 0) return;
    if (words[at] === eventType.flowJudged) judgements.settle(slot, words[flowAt + word.verdict] as number);
    if (words[at] === eventType.flowReplaced) giveWay(slot);
  };

  const takeEvent = (words: Uint32Array, at: number): void => {
    const type = words[at];
    if (type === eventType.payload) insight.payload(words, at);
    else if (type === eventType.exchange) insight.exchange(words, at);
    else if (type === eventType.tcp) insight.connection(words, at);
    else if (type === eventType.drop) insight.drop(words, at);
    else takeFlow(words, at);
  };

  const drainEvents = (until?: number): number => {
    isRing = true;
    const count = ring.drain(takeEvent, undefined, until);
    isRing = false;
    drained += count;
    return count;
  };

  const drainRing = (): number => {
    // The kernel tells of a translation before the translated packet makes its flow: with these in order, both halves
    // of a connection are known as such when the second one comes.
    const until = ring.produced();
    nowNs = Number(clock.monotonicNs());
    translation.poll(clock.nowMs());
    encrypted.read();
    return drainEvents(until);
  };

  const drain = (): number => {
    // A new device is not to wait for the next turn.
    if (enforcement.isJudging) {
      kernel.attachments.poll();
      kernel.attachments.step();
    }
    const count = drainRing();
    tell();
    return count;
  };

  const tell = (): void => followers.flush(flowOf);

  /** Enters an element's flow as it is. @returns whether it holds one. */
  const takeElement = (element: number): boolean => {
    if (!flows.copy(element, copied)) return false;
    // What the ring still holds comes first: the flow's own beginning, the end of the one that it follows, or what it
    // met under another verdict.
    const slot = table.slotOf(copied, KEY_WORDS);
    if (slot < 0 || table.verdictOf(slot) !== copied[KEY_WORDS + word.verdict]) drainEvents();
    enter(copied, 0, copied, KEY_WORDS);
    return true;
  };
  const removal = createRemoval({
    flows,
    elements: options.maxFlows,
    table,
    end(element) {
      if (takeElement(element)) finish(table.slotOf(copied, KEY_WORDS));
    },
  });

  function read(): void {
    drainRing();
    // What the ring tells meanwhile may be ahead of the walk.
    const due = undecided.count;
    const judged = judgements.due();
    const before = kernel.totals();
    nowNs = Number(clock.monotonicNs());
    const offset = clock.nowMs() - nowNs / 1e6;
    // A step of the clock or a suspended machine; jitter must not move the times of flows.
    if (Math.abs(offset - offsetMs) > 1000) {
      coverage.stepped(offset - offsetMs);
      offsetMs = offset;
    }
    removal.finish();
    const over = walk(ticks(nowNs));
    let settled = 0;
    undecided.settle(due, (slot, first) => {
      tally.add(table.flagsOf(slot), table.kindOf(slot), first, true);
      if (++settled % BATCH === 0) drainRing();
    });
    for (const slot of judged) judgements.settle(slot, table.verdictOf(slot));
    removal.unlink(over);
    lostPackets = Math.max(lostPackets, before.packets - tally.packets - undecided.packets);
    lostBytes = Math.max(lostBytes, before.bytes - tally.bytes - undecided.bytes);
    kernelTotals = before;
    readMs = clock.nowMs();
    orphans.settle(readMs);
    insight.expire(Number(clock.monotonicNs()));
    scans.expire();
    enforcement.sweep((low, high) => table.slotOfId(low, high) >= 0);
    encrypted.join(clock.nowMs());
    tell();
  }

  /** Takes what all flows have become. @returns the slots of those that are over. */
  function walk(nowTicks: number): number[] {
    const { words } = flows;
    const over: number[] = [];
    const used = flows.reach();
    for (let element = 0; element < used; element++) {
      if (element % BATCH === BATCH - 1) drainRing();
      const at = element * ELEMENT_WORDS;
      const flowAt = at + KEY_WORDS;
      if (!table.isCurrent(words, flowAt) && !takeElement(element)) continue;
      if (!endings.mayBeOver(words, flowAt, nowTicks) || removal.isLeaving(element)) continue;
      const slot = table.slotOf(words, flowAt);
      if (endings.isOver(slot, words, at, words, flowAt, nowTicks)) over.push(slot);
    }
    return over;
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
      forgottenEvents: followers.forgotten,
    },
    unrecorded: recorder.unrecorded,
  });

  return {
    maps: {
      flows: flowTableMaps(kernel.maps),
      maxFlows: options.maxFlows,
      processes: kernel.maps.processes,
      namespaces: kernel.maps.namespaces,
      cgroupRoot: kernel.cgroupRoot,
    },
    enforcement,
    features: () => [...kernel.features(), translation.feature(), ...encrypted.features()],
    list(query) {
      refresh();
      return {
        ...listFlows({ table, joins, view, names }, query, clock.nowMs()),
        covers: {
          from: new Date(startedMs).toISOString(),
          to: new Date(readMs).toISOString(),
          lostPackets,
        },
      };
    },
    follow(id, query, updates) {
      const matches = compileQuery(query, clock.nowMs(), names);
      const matchesEvent = compileEventFilter(query, clock.nowMs());
      followers.add(id, {
        matches: (slot) => matches(slot, view.raw(slot), flowOf),
        matchesEvent,
        updates,
      });
    },
    unfollow: (id) => followers.remove(id),
    totals() {
      refresh();
      return figures();
    },
    figures,
    drain,
    drained: () => drained,
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
      kernel.attachments.poll();
      kernel.noteNamespaces();
      return kernel.attachments.step();
    },
    close() {
      ring.close();
      enforcement.close();
      flows.close();
      encrypted.close();
      translation.close();
      drops.close();
      kernel.close();
      processes.close();
    },
  };
}
