/**
 * The memory of flows: a sink of the recording thread that keeps flows and events on disk, and answers from there.
 * It never throws for what a disk does: what could not be kept is counted and told as a gap.
 */
import { mkdirSync } from "node:fs";
import { type Clock, type Feature, formatBytes, messageOf } from "@x0tta6bl4/core";
import type { FlowList, FlowQuery } from "../flow.ts";
import type { RecordReader } from "../recording/record.ts";
import type { Sample, Sink } from "../recording/sink.ts";
import { type CoverageRow, coverageOf, extend, missing } from "./coverage.ts";
import { queryFlows } from "./query.ts";
import { createRecorder } from "./recorder.ts";
import { concludeLastRun, markOf } from "./recovery.ts";
import { openStore } from "./store.ts";

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
}

export interface History extends Sink {
  /** @throws X0_FLOWS_INVALID_FILTER */
  flows(query: FlowQuery): Promise<FlowList>;
}

/** @throws where the folder cannot be made or read */
export function openHistory(options: HistoryOptions): History {
  const { folder, clock, run, flushMs = 3000 } = options;
  mkdirSync(folder, { recursive: true, mode: 0o750 });
  const store = openStore(options);
  const recorder = createRecorder(store, { run, flushMs, maxFlows: options.maxFlows });
  /** Rows that are new or have grown since they were last written. */
  let unwritten: CoverageRow[] = [];
  let mayContinue = false;
  let nextFlushMs = Number.NEGATIVE_INFINITY;
  let isLastRunDone = false;
  let trouble: string | undefined;
  let refusedNow: { fromMs: number; toMs: number; records: number } | undefined;
  let isClosed = false;

  const monotonicMs = (): number => Number(clock.monotonicNs() / 1_000_000n);
  const cover = (reader: RecordReader): void => {
    const { coverage } = reader.batch;
    const rows = mayContinue ? [...(store.partitions.at(-1)?.coverage ?? []), ...unwritten] : unwritten;
    const before = new Set(rows);
    const all = [...before];
    extend(all, run, coverage);
    const latest = all.findLast((row) => row.reason === null);
    for (const row of all)
      if (!before.has(row) || (row === latest && !unwritten.includes(row))) unwritten.push(row);
    mayContinue = true;
  };
  /** A file to write into, with what the run before left undone. */
  const prepare = (nowMonotonicMs: number): void => {
    if (store.isFileDue(nowMonotonicMs)) {
      if (store.partitions.length > 0) recorder.seal();
      store.beginFile(nowMonotonicMs);
      // What a new file covers begins in it, since the one before may be deleted.
      mayContinue = false;
    }
    if (isLastRunDone) return;
    concludeLastRun(store);
    isLastRunDone = true;
  };
  const flush = (nowMonotonicMs: number): void => {
    try {
      prepare(nowMonotonicMs);
      store.retain(clock.nowMs(), true);
      const gap = refusedNow;
      const rows = [...unwritten];
      if (gap !== undefined)
        rows.push(missing(run, gap.fromMs, gap.toMs, `${gap.records} records were not kept: ${trouble}`));
      recorder.flush(nowMonotonicMs, (writer) => {
        for (const row of rows) writer.cover(row);
      });
      unwritten = [];
      refusedNow = undefined;
      trouble = undefined;
    } catch (error) {
      trouble = messageOf(error);
    }
  };
  try {
    prepare(monotonicMs());
  } catch (error) {
    trouble = messageOf(error);
  }

  return {
    take(reader) {
      const now = monotonicMs();
      cover(reader);
      const left = recorder.take(reader, now);
      if (left > 0) {
        const { fromMs, toMs } = reader.batch.coverage;
        refusedNow = {
          fromMs: Math.min(refusedNow?.fromMs ?? fromMs, fromMs),
          toMs: Math.max(refusedNow?.toMs ?? toMs, toMs),
          records: (refusedNow?.records ?? 0) + left,
        };
      }
      if (now < nextFlushMs) return;
      flush(now);
      nextFlushMs = monotonicMs() + flushMs;
    },
    async flows(query) {
      const nowMs = clock.nowMs();
      const { flows, next } = await queryFlows({ store, recorder, run }, query, nowMs);
      const rows = store.partitions.flatMap(({ coverage }) => coverage);
      const known = new Set([...rows, ...unwritten]);
      const covered = coverageOf(
        [...known],
        { sinceMs: Number.NEGATIVE_INFINITY, untilMs: Number.POSITIVE_INFINITY },
        (each) => markOf(store, "closed", each) === 1,
      );
      const iso = (ms: number): string => new Date(ms).toISOString();
      return {
        flows: [...flows],
        next,
        covers: {
          from: iso(covered?.fromMs ?? nowMs),
          to: iso(covered?.toMs ?? nowMs),
          lostPackets: covered?.lostPackets ?? 0,
          lostEvents: covered?.lostEvents ?? 0,
          gaps: (covered?.gaps ?? []).map((gap) => ({
            from: iso(gap.fromMs),
            to: iso(gap.toMs),
            reason: gap.reason,
          })),
        },
      };
    },
    features(): readonly Feature[] {
      const detail = `${formatBytes(store.sizeBytes())} in ${folder}`;
      if (trouble !== undefined)
        return [{ name: "history", state: "degraded", reason: trouble, hint: `free space for ${folder}` }];
      return [{ name: "history", state: "on", detail }];
    },
    samples: (): readonly Sample[] => [],
    async close() {
      if (isClosed) return;
      isClosed = true;
      flush(monotonicMs());
      try {
        recorder.finish();
      } catch (error) {
        trouble = messageOf(error);
      }
      store[Symbol.dispose]();
    },
  };
}
