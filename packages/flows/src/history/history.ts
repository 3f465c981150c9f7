/**
 * The memory of flows: a sink of the recording thread that keeps flows and events on disk, and answers from there.
 * It never throws for what a disk does: what could not be kept is counted and told as a gap.
 */
import { mkdirSync } from "node:fs";
import { type Clock, type Feature, formatBytes, messageOf, X0Error } from "@x0tta6bl4/core";
import { historyMetrics } from "@x0tta6bl4/telemetry";
import { requireMoment } from "../filter.ts";
import type { FlowList } from "../flow.ts";
import type { Sample, Sink } from "../recording/sink.ts";
import { summarize } from "../summary/summarize.ts";
import type { HistoryCalls } from "./contract.ts";
import { createEventKeeper } from "./events.ts";
import { createLedger } from "./ledger.ts";
import { queryFlows } from "./query.ts";
import { createRecorder } from "./recorder.ts";
import { concludeLastRun } from "./recovery.ts";
import { openReplay, type Replay, type ReplayRange } from "./replay.ts";
import { openStore } from "./store.ts";
import { createStretches, MOST_BLOCKS } from "./stretches.ts";

export interface HistoryOptions {
  /** Made where it does not exist. */
  readonly folder: string;
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  /** When the agent started, Unix milliseconds: what makes its flows' numbers unique for good. */
  readonly run: number;
  readonly clock: Clock;
  /** Most flows that go on at once. */
  readonly maxFlows: number;
  /** Default 3000: what a crash may cost. */
  readonly flushMs?: number;
  /** Default 16,384: flows that just began and are held back, since most are over soon and then need one row. */
  readonly mostYoung?: number;
  /** Default 64: how many blocks have sums together. */
  readonly stretchBlocks?: number;
}

export interface History extends Sink, HistoryCalls {
  /** To look at every flow of a time. */
  replay(range: ReplayRange): Replay;
  /** What is known of a time, and what is missing in it. */
  covers(range: ReplayRange): FlowList["covers"];
  sizeBytes(): number;
}

const MOST_YOUNG = 16_384;

/** After a step of the clock nothing is deleted for its age until this has passed: it may step back. */
const TRUST_AFTER_STEP_MS = 3_600_000;

/** @throws where the folder cannot be made or read */
export function openHistory(options: HistoryOptions): History {
  const { folder, clock, run, flushMs = 3000 } = options;
  mkdirSync(folder, { recursive: true, mode: 0o750 });
  const store = openStore(options);
  const stretches = createStretches(store, options.stretchBlocks ?? MOST_BLOCKS);
  const recorder = createRecorder(store, {
    run,
    flushMs,
    maxFlows: options.maxFlows,
    mostYoung: options.mostYoung ?? MOST_YOUNG,
    sealed: stretches.add,
  });
  const keeper = createEventKeeper(store, run);
  const ledger = createLedger(store, run);
  let nextFlushMs = Number.NEGATIVE_INFINITY;
  let clockTrustedMs = Number.NEGATIVE_INFINITY;
  let isLastRunDone = false;
  let isFileDamaged = false;
  let trouble: string | undefined;
  let reasonOfLoss = "";
  let recordsLost = 0;
  let eventsLost = 0;
  let writeErrors = 0;
  let isClosed = false;

  const monotonicMs = (): number => Number(clock.monotonicNs() / 1_000_000n);
  /** A new file where one is due. All of what is known goes to the old one: that may be deleted before this. */
  const beginFile = (nowMonotonicMs: number): void => {
    if (!store.isFileDue(nowMonotonicMs)) return;
    if (store.partitions.length > 0) {
      recorder.seal();
      stretches.endFile();
    }
    store.beginFile(nowMonotonicMs);
    keeper.beginFile();
    ledger.beginFile();
  };
  /** A file to write into, with what the run before left undone. */
  const prepare = (nowMonotonicMs: number): void => {
    if (store.partitions.length === 0) beginFile(nowMonotonicMs);
    if (isLastRunDone) return;
    concludeLastRun(store);
    isLastRunDone = true;
  };
  const attempt = (step: () => void): void => {
    try {
      step();
      trouble = undefined;
    } catch (error) {
      trouble = messageOf(error);
      reasonOfLoss = trouble;
      writeErrors++;
      isFileDamaged = error instanceof X0Error && error.code === "X0_CORE_DATABASE_CORRUPT";
    }
  };
  const flush = (nowMonotonicMs: number): void =>
    attempt(() => {
      if (isFileDamaged) {
        isFileDamaged = false;
        isLastRunDone = true;
        store.beginFile(nowMonotonicMs);
        recorder.leaveFile();
        stretches.leaveFile();
        keeper.beginFile();
        ledger.beginFile();
      }
      store.retain(clock.nowMs(), nowMonotonicMs >= clockTrustedMs);
      prepare(nowMonotonicMs);
      const done: { written(): void }[] = [];
      recorder.flush(nowMonotonicMs, (writer) => {
        done.push(keeper.write(writer), ledger.write(writer, reasonOfLoss), stretches.write(writer));
      });
      for (const each of done) each.written();
      beginFile(nowMonotonicMs);
    });
  const range = (query: { readonly since?: string | undefined; readonly until?: string | undefined }) => {
    const nowMs = clock.nowMs();
    return {
      sinceMs: query.since === undefined ? undefined : requireMoment("since", query.since, nowMs),
      untilMs: query.until === undefined ? undefined : requireMoment("until", query.until, nowMs),
    };
  };
  attempt(() => {
    prepare(monotonicMs());
    beginFile(monotonicMs());
  });

  return {
    take(reader, events) {
      const now = monotonicMs();
      const { coverage } = reader.batch;
      ledger.note(coverage);
      if (coverage.gap !== undefined) clockTrustedMs = now + TRUST_AFTER_STEP_MS;
      const refused = recorder.take(reader, now);
      if (refused > 0) ledger.refuse(coverage, refused);
      recordsLost += refused;
      const tooMany = keeper.take(events, now);
      ledger.loseEvents(tooMany);
      eventsLost += tooMany;
      if (now < nextFlushMs) return;
      flush(now);
      nextFlushMs = now + flushMs;
    },
    async flows(query) {
      const nowMs = clock.nowMs();
      const page = await queryFlows({ store, recorder, run }, query, nowMs);
      return { ...page, covers: ledger.covers(range(query), nowMs) };
    },
    async events(query) {
      const nowMs = clock.nowMs();
      const page = await keeper.query(query, nowMs);
      return { ...page, covers: ledger.covers(range(query), nowMs) };
    },
    summary(query) {
      const nowMs = clock.nowMs();
      const covers = (of: { readonly sinceMs: number; readonly untilMs: number }) => ledger.covers(of, nowMs);
      return summarize({ store, recorder, keeper, covers }, query, nowMs);
    },
    replay: (of) => openReplay({ store, recorder, run }, of),
    covers: (of) => ledger.covers(of, clock.nowMs()),
    sizeBytes: () => store.sizeBytes(),
    features(): readonly Feature[] {
      const detail = `${formatBytes(store.sizeBytes())} in ${folder}`;
      const lost = recordsLost === 0 ? "" : `; ${recordsLost} records lost`;
      if (trouble !== undefined)
        return [
          { name: "history", state: "degraded", reason: trouble + lost, hint: `free space for ${folder}` },
        ];
      const [skipped] = store.skipped;
      if (skipped !== undefined)
        return [
          {
            name: "history",
            state: "degraded",
            detail,
            reason: `${store.skipped.length} files are not read, first ${skipped}`,
            hint: `move them out of ${folder}`,
          },
        ];
      return [{ name: "history", state: "on", detail: detail + lost }];
    },
    samples(): readonly Sample[] {
      const oldestMs = store.oldestMs();
      const figures = [
        { metric: historyMetrics.rows, value: recorder.rowsWritten },
        { metric: historyMetrics.bytes, value: store.sizeBytes() },
        { metric: historyMetrics.writeErrors, value: writeErrors },
        { metric: historyMetrics.lost, value: recordsLost + eventsLost },
        ...(oldestMs === undefined ? [] : [{ metric: historyMetrics.oldest, value: oldestMs / 1000 }]),
      ];
      return figures.map((figure) => ({ ...figure, labels: {} }));
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      flush(monotonicMs());
      attempt(() => {
        recorder.finish();
        stretches.endFile();
      });
      store[Symbol.dispose]();
    },
  };
}
