/**
 * What the history covers: intervals in which this host was watched, with what was lost in them, and the gaps between
 * them with their reasons. Times are the wall clock's, which may step; where it stepped back, a stretch of it happened
 * twice, and is told as a gap.
 */
import type { Coverage } from "../recording/record.ts";

/** An interval that was watched, or where `reason` is set, one in which something is missing. */
export interface CoverageRow {
  id: number;
  readonly run: number;
  readonly fromMs: number;
  toMs: number;
  lostPackets: number;
  lostBytes: number;
  lostEvents: number;
  uncounted: number;
  readonly reason: string | null;
}

export interface Gap {
  readonly fromMs: number;
  readonly toMs: number;
  readonly reason: string;
}

export interface Covered {
  readonly fromMs: number;
  readonly toMs: number;
  readonly lostPackets: number;
  readonly lostEvents: number;
  /** Oldest first. */
  readonly gaps: readonly Gap[];
}

/** Losses are told apart to the minute; an interval without any may be longer. */
const LOSS_RESOLUTION_MS = 60_000;
/** A batch may begin so much after the one before ended: they are cut by a timer. */
const SLACK_MS = 1500;

/** Adds a batch's interval to the last row where it continues that, else begins another. */
export function extend(rows: CoverageRow[], run: number, next: Coverage): void {
  const { fromMs, toMs, lostPackets, lostBytes, lostEvents, uncounted, gap } = next;
  const last = rows.findLast((row) => row.reason === null && row.run === run);
  const losses = { lostPackets, lostBytes, lostEvents, uncounted };
  const hasLoss = Object.values(losses).some((loss) => loss > 0);
  const hadLoss =
    last !== undefined && last.lostPackets + last.lostBytes + last.lostEvents + last.uncounted > 0;
  if (gap !== undefined && last !== undefined)
    rows.push(missing(run, Math.min(last.toMs, fromMs), Math.max(last.toMs, fromMs), gap));
  const continues = last !== undefined && gap === undefined && Math.abs(fromMs - last.toMs) <= SLACK_MS;
  if (!continues || ((hasLoss || hadLoss) && toMs - last.fromMs > LOSS_RESOLUTION_MS)) {
    rows.push({ id: 0, run, fromMs, toMs, ...losses, reason: null });
    return;
  }
  last.toMs = Math.max(last.toMs, toMs);
  last.lostPackets += lostPackets;
  last.lostBytes += lostBytes;
  last.lostEvents += lostEvents;
  last.uncounted += uncounted;
}

export function missing(run: number, fromMs: number, toMs: number, reason: string): CoverageRow {
  return { id: 0, run, fromMs, toMs, lostPackets: 0, lostBytes: 0, lostEvents: 0, uncounted: 0, reason };
}

/** Most gaps in one answer; older ones are told as one. */
const MOST_GAPS = 100;

/**
 * What rows say about the time from `sinceMs` to `untilMs`.
 * @param endedWell runs that were closed in order.
 */
export function coverageOf(
  rows: readonly CoverageRow[],
  range: { readonly sinceMs: number; readonly untilMs: number },
  endedWell: (run: number) => boolean,
): Covered | undefined {
  const watched = rows.filter((row) => row.reason === null).toSorted((a, b) => a.fromMs - b.fromMs);
  if (watched.length === 0) return undefined;
  const first = (watched[0] as CoverageRow).fromMs;
  const last = watched.reduce((most, row) => Math.max(most, row.toMs), first);
  const fromMs = Math.min(Math.max(range.sinceMs, first), last);
  const toMs = Math.max(Math.min(range.untilMs, last), fromMs);
  const overlaps = (row: { readonly fromMs: number; readonly toMs: number }): boolean =>
    row.toMs >= fromMs && row.fromMs <= toMs;
  const clip = (from: number, to: number, reason: string): Gap => ({
    fromMs: Math.max(from, fromMs),
    toMs: Math.min(to, toMs),
    reason,
  });
  const gaps: Gap[] = rows
    .filter((row) => row.reason !== null && overlaps(row))
    .map((row) => clip(row.fromMs, row.toMs, row.reason as string));
  const told = [...gaps];
  let end = first;
  let run = (watched[0] as CoverageRow).run;
  for (const row of watched) {
    const hole = { fromMs: end, toMs: row.fromMs };
    const isKnown = told.some((gap) => gap.fromMs <= hole.fromMs && gap.toMs >= hole.toMs);
    // Between two runs nobody watched, however short that was.
    if (row.fromMs - end > (row.run === run ? SLACK_MS : 0) && overlaps(hole) && !isKnown) {
      const reason =
        row.run === run
          ? "nothing was recorded"
          : endedWell(run)
            ? "the agent was not running"
            : "the agent ended unexpectedly or was not running; its last seconds are lost";
      gaps.push(clip(hole.fromMs, hole.toMs, reason));
    }
    if (row.toMs >= end) {
      end = row.toMs;
      run = row.run;
    }
  }
  gaps.sort((a, b) => a.fromMs - b.fromMs);
  const within = watched.filter(overlaps);
  return {
    fromMs,
    toMs,
    lostPackets: within.reduce((sum, row) => sum + row.lostPackets, 0),
    lostEvents: within.reduce((sum, row) => sum + row.lostEvents, 0),
    gaps: bounded(gaps),
  };
}

function bounded(gaps: readonly Gap[]): readonly Gap[] {
  if (gaps.length <= MOST_GAPS) return gaps;
  const older = gaps.slice(0, gaps.length - MOST_GAPS + 1);
  const fromMs = (older[0] as Gap).fromMs;
  const toMs = older.reduce((most, gap) => Math.max(most, gap.toMs), fromMs);
  return [{ fromMs, toMs, reason: `${older.length} gaps` }, ...gaps.slice(-MOST_GAPS + 1)];
}
