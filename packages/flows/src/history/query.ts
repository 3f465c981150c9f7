/** Flows of the history, newest first: filters before limits, a flow once, with its latest state. */
import type { Flow, FlowQuery } from "../flow.ts";
import { type Block, type BlockSpan, liveBlock } from "./block.ts";
import { column } from "./columns.ts";
import { formatCursor, parseCursor } from "./cursor.ts";
import type { BlockEntry } from "./file.ts";
import { compileMatcher, type Matcher } from "./matcher.ts";
import { type Candidate, type Newest, newest } from "./newest.ts";
import { pauses } from "./pauses.ts";
import type { Recorder } from "./recorder.ts";
import { flowsOf } from "./rows.ts";
import type { Store } from "./store.ts";

export interface FlowPage {
  readonly flows: Flow[];
  /** Of the last one, where more follow. */
  readonly next: string | null;
}

export interface QuerySources {
  readonly store: Store;
  readonly recorder: Recorder;
  readonly run: number;
}

/** @throws X0_FLOWS_INVALID_FILTER */
export async function queryFlows(sources: QuerySources, query: FlowQuery, nowMs: number): Promise<FlowPage> {
  const { store, recorder, run } = sources;
  const matcher = compileMatcher(query, nowMs);
  const limit = Math.min(query.limit, query.last ?? query.limit);
  const best = newest<Flow>(limit, query.after === undefined ? undefined : parseCursor(query.after));
  // What waits and what goes on first, without a pause: a flow that ends meanwhile would be in neither place.
  if (matcher.mayBeOf(run)) scanOwn(sources, matcher, best);
  const entries: BlockEntry[] = [];
  for (const partition of store.partitions)
    for (const entry of partition.entries)
      if (
        entry.kind === "flows" &&
        matcher.mayBeOf(entry.run) &&
        matcher.mayMatch(entry) &&
        !recorder.isTail(entry.number)
      )
        entries.push(entry);
  entries.sort((a, b) => b.maxStartMs - a.maxStartMs);
  const pause = pauses();
  for (const entry of entries) {
    if (!best.wants(entry.maxStartMs)) break;
    if (!best.reaches(entry.minStartMs)) continue;
    store.read(entry.number, (file) => {
      if (matcher.asksExactly && !matcher.mayHave(file.sketch(entry.number))) return;
      scan(file.block(entry), entry.run, matcher, best, undefined, entry);
    });
    await pause();
  }
  const page = best.held.slice(0, limit);
  const last = page.at(-1);
  // `last` is all that was asked for.
  const isMore = best.held.length > limit && query.last !== limit && last !== undefined;
  return {
    flows: page.map(({ value }) => value),
    next: isMore ? formatCursor(last.cursor) : null,
  };
}

/** Flows of this run that are not in blocks of their own, or go on. */
function scanOwn({ store, recorder, run }: QuerySources, matcher: Matcher, best: Newest<Flow>): void {
  const { open, dictionaries, young } = recorder;
  for (const { kind, number, rows } of recorder.piles) {
    const block = liveBlock(rows, dictionaries);
    const ids = block.column(column.id);
    const isLatest = (row: number): boolean => open.isLatest(ids[row] as number, number, row);
    scan(block, run, matcher, best, kind === "interim" ? isLatest : undefined);
  }
  scan(liveBlock(young.rows, dictionaries), run, matcher, best, young.isHere);
  // Those of the pile were met above.
  for (const number of open.blocks())
    store.read(number, (file, entry) => {
      const block = file.block(entry);
      const ids = block.column(column.id);
      scan(block, run, matcher, best, (row) => open.isLatest(ids[row] as number, number, row));
    });
}

function scan(
  block: Block,
  run: number,
  matcher: Matcher,
  best: Newest<Flow>,
  isCurrent: (row: number) => boolean = () => true,
  span?: BlockSpan,
): void {
  if (block.count === 0) return;
  const mask = matcher.rows(block, span);
  if (mask === undefined) return;
  const starts = new Float64Array(block.count);
  const rows: number[] = [];
  for (let row = 0; row < block.count; row++) {
    if (mask[row] === 0 || !isCurrent(row)) continue;
    const startMs = block.value(column.start, row);
    if (!best.wants(startMs) || !best.reaches(startMs)) continue;
    starts[rows.length] = startMs;
    rows.push(row);
  }
  // Before there are objects: of thousands of rows a page has few.
  const floor = best.floor(starts.subarray(0, rows.length));
  const candidates: Candidate[] = [];
  for (const [index, row] of rows.entries()) {
    const startMs = starts[index] as number;
    if (startMs >= floor) candidates.push({ cursor: { startMs, run, id: block.value(column.id, row) }, row });
  }
  best.add(candidates, (chosen) => flowsOf(block, chosen, run));
}
