/**
 * One list of the flows in memory and those on disk, newest first, each once: in both, memory knows it better. The
 * two are asked for the same page, from the same place on; so pages stay what they are while new flows come.
 */
import { requireMoment } from "../filter.ts";
import type { Flow, FlowList, FlowQuery } from "../flow.ts";
import { type Cursor, compareCursors, cursorOf, formatCursor, parseCursor } from "./cursor.ts";
import { parseQualified, qualified } from "./rows.ts";

/** Of one agent's run. Its ids are the kernel's numbers, without the run. */
type LiveList = (query: FlowQuery) => Promise<FlowList>;

export interface MergeSources {
  readonly live: LiveList;
  /** None where flows are not kept. */
  readonly kept: ((query: FlowQuery) => Promise<FlowList>) | undefined;
  readonly run: number;
}

/** Asked for beyond a page, so that flows of the same millisecond seldom cost another question. */
const SPARE = 64;
const MOST = 10_000;

/** @throws X0_FLOWS_INVALID_FILTER */
export async function mergedFlows(sources: MergeSources, query: FlowQuery, nowMs: number): Promise<FlowList> {
  const { kept, run } = sources;
  const limit = Math.min(query.limit, query.last ?? query.limit);
  const after = query.after === undefined ? undefined : parseCursor(query.after);
  const id = query.id === undefined ? undefined : (parseQualified(query.id) ?? query.id);
  const isOwn = typeof id !== "object" || id.run === run;
  const [live, stored] = await Promise.all([
    isOwn ? livePage(sources, liveQuery(query, id), after, limit, nowMs) : undefined,
    kept?.({ ...query, ...(typeof id === "string" ? { id: qualified(run, id) } : {}), limit }),
  ]);
  const known = new Set(live?.flows.map((flow) => flow.id));
  const flows = [...(live?.flows ?? []), ...(stored?.flows ?? []).filter((flow) => !known.has(flow.id))].sort(
    (a, b) => compareCursors(cursorOf(a), cursorOf(b)),
  );
  const page = flows.slice(0, limit);
  const last = page.at(-1);
  const isMore = flows.length > limit || live?.isMore === true || stored?.next != null;
  return {
    flows: page,
    // `last` is all that was asked for.
    next: isMore && query.last !== limit && last !== undefined ? formatCursor(cursorOf(last)) : null,
    covers: coversOf(live?.covers, stored?.covers, nowMs),
  };
}

function liveQuery(query: FlowQuery, id: { readonly id: number } | string | undefined): FlowQuery {
  const { after: _, last: __, id: ___, ...rest } = query;
  return id === undefined ? rest : { ...rest, id: typeof id === "string" ? id : String(id.id) };
}

interface LivePage {
  readonly flows: Flow[];
  readonly isMore: boolean;
  readonly covers: FlowList["covers"];
}

/**
 * The live table orders by the kernel's clock, which tells apart what begins in one millisecond; here that is settled
 * by the id. So the oldest millisecond of what was read counts only when all of it was.
 */
async function livePage(
  { live, run }: MergeSources,
  query: FlowQuery,
  after: Cursor | undefined,
  limit: number,
  nowMs: number,
): Promise<LivePage> {
  const untilMs = Math.min(
    query.until === undefined ? Number.POSITIVE_INFINITY : requireMoment("until", query.until, nowMs),
    after === undefined ? Number.POSITIVE_INFINITY : after.startMs + 1,
  );
  const until = Number.isFinite(untilMs) ? { until: new Date(untilMs).toISOString() } : {};
  const flows: Flow[] = [];
  let next: string | null | undefined;
  for (;;) {
    const page: FlowList = await live({
      ...query,
      ...until,
      limit: Math.min(MOST, limit + SPARE),
      ...(next == null ? {} : { after: next }),
    });
    for (const flow of page.flows) flows.push({ ...flow, id: qualified(run, flow.id) });
    next = page.next;
    const oldestMs = next === null ? Number.NEGATIVE_INFINITY : Date.parse(page.flows.at(-1)?.start ?? "");
    const complete = flows
      .filter((flow) => Date.parse(flow.start) > oldestMs)
      .filter((flow) => after === undefined || compareCursors(cursorOf(flow), after) > 0);
    if (next === null || complete.length > limit)
      return { flows: complete, isMore: next !== null, covers: page.covers };
  }
}

function coversOf(
  live: FlowList["covers"] | undefined,
  stored: FlowList["covers"] | undefined,
  nowMs: number,
): FlowList["covers"] {
  const now = new Date(nowMs).toISOString();
  const either = stored ?? live ?? { from: now, to: now, lostPackets: 0 };
  // What memory holds of this run is on disk too, but for the last seconds.
  const to = live === undefined || live.to < either.to ? either.to : live.to;
  // In its first second this run has written nothing yet that would show what lies before it.
  const isUnwritten = live !== undefined && stored !== undefined && live.from > stored.to;
  const before = isUnwritten ? [{ from: stored.to, to: live.from, reason: "the agent was not running" }] : [];
  return {
    from: either.from,
    to,
    lostPackets: Math.max(stored?.lostPackets ?? 0, live?.lostPackets ?? 0),
    lostEvents: either.lostEvents ?? 0,
    gaps: [...(either.gaps ?? []), ...before],
  };
}
