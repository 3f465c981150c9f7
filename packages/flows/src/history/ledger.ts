/** Keeps account of what the history covers, while it is written: see `coverage.ts` for what the rows mean. */
import type { FlowList } from "../flow.ts";
import type { Coverage } from "../recording/record.ts";
import { type CoverageRow, coverageOf, extend, missing } from "./coverage.ts";
import { markOf } from "./recovery.ts";
import type { Store, StoreWriter } from "./store.ts";

export interface Range {
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
}

export interface Ledger {
  /** A batch's interval. */
  note(coverage: Coverage): void;
  /** Events in the interval of the last batch that were not kept. */
  loseEvents(count: number): void;
  /** Records of such a batch that were not kept, and why. */
  refuse(coverage: Coverage, records: number): void;
  /** What a new file covers begins in it: the one before may be deleted. */
  beginFile(): void;
  /** @param reason why records were refused, if some were. Call `written` once it is so. */
  write(writer: StoreWriter, reason: string): { written(): void };
  covers(range: Range, nowMs: number): FlowList["covers"];
}

export function createLedger(store: Store, run: number): Ledger {
  /** Rows that are new or have grown since they were last written. */
  let unwritten = new Set<CoverageRow>();
  /** The row that the next batch may continue. */
  let current: CoverageRow | undefined;
  let refused: { readonly fromMs: number; readonly toMs: number; readonly records: number } | undefined;
  const endedWell = new Map<number, boolean>();

  const isClosed = (of: number): boolean => {
    const known = endedWell.get(of) ?? markOf(store, "closed", of) === 1;
    endedWell.set(of, known);
    return known;
  };
  return {
    note(coverage) {
      const rows = current === undefined ? [] : [current];
      extend(rows, run, coverage);
      for (const row of rows) if (row !== current || row === rows.at(-1)) unwritten.add(row);
      current = rows.at(-1);
    },
    loseEvents(count) {
      if (current === undefined || count === 0) return;
      current.lostEvents += count;
      unwritten.add(current);
    },
    refuse({ fromMs, toMs }, records) {
      refused = {
        fromMs: Math.min(refused?.fromMs ?? fromMs, fromMs),
        toMs: Math.max(refused?.toMs ?? toMs, toMs),
        records: (refused?.records ?? 0) + records,
      };
    },
    beginFile() {
      current = undefined;
    },
    write(writer, reason) {
      const rows = [...unwritten];
      const gap = refused;
      if (gap !== undefined)
        rows.push(missing(run, gap.fromMs, gap.toMs, `${gap.records} records were not kept: ${reason}`));
      for (const row of rows) writer.cover(row);
      return {
        written() {
          unwritten = new Set();
          refused = undefined;
        },
      };
    },
    covers({ sinceMs, untilMs }, nowMs) {
      const rows = new Set(store.partitions.flatMap(({ coverage }) => coverage));
      for (const row of unwritten) rows.add(row);
      if (refused !== undefined)
        rows.add(missing(run, refused.fromMs, refused.toMs, `${refused.records} records could not be kept`));
      const covered = coverageOf(
        [...rows],
        { sinceMs: sinceMs ?? Number.NEGATIVE_INFINITY, untilMs: untilMs ?? Number.POSITIVE_INFINITY },
        isClosed,
      );
      const damaged = [...store.damaged].flatMap((number) => {
        const entry = store.entry(number);
        return entry === undefined ? [] : [entry];
      });
      const gaps = [
        ...(covered?.gaps ?? []),
        ...damaged
          .filter(
            (entry) => entry.maxEndMs >= (sinceMs ?? 0) && entry.minStartMs < (untilMs ?? Number.MAX_VALUE),
          )
          .map((entry) => ({
            fromMs: entry.minEndMs,
            toMs: entry.maxEndMs,
            reason: `${entry.count} rows are damaged on disk`,
          })),
      ];
      return {
        from: iso(covered?.fromMs ?? nowMs),
        to: iso(covered?.toMs ?? nowMs),
        lostPackets: covered?.lostPackets ?? 0,
        lostEvents: covered?.lostEvents ?? 0,
        gaps: gaps.map(({ fromMs, toMs, reason }) => ({ from: iso(fromMs), to: iso(toMs), reason })),
      };
    },
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
