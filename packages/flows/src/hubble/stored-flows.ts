/**
 * The history on disk as the Hubble API reads it: forwards or backwards in slices of time. The history keeps a flow
 * once, as it was last known, so its packets in Hubble are made of that: flags are those of both sides together, and
 * its end is told by the source.
 */
import type { FlowEvent } from "../event.ts";
import type { Flow } from "../flow.ts";
import type { HistoryCalls } from "../history/contract.ts";
import { batchOf, type Recorded } from "../recording/from-flows.ts";
import { readBatch } from "../recording/record.ts";
import type { HistoryPage, HubbleHistory } from "./history.ts";

/** Flows and events of a slice, each: some megabytes while they are sent. */
const MOST = 1000;
const FEW = MOST / 4;
/** Answers for what cannot be cut finer: a millisecond, or the time before the history began. */
const MOST_PAGES = 20;
const FIRST_WIDTH_MS = 60_000;
const GREATEST_WIDTH_MS = 3_600_000;

type Stored = Pick<HistoryCalls, "flows" | "events">;

export function storedFlows(history: Stored): HubbleHistory {
  return {
    flows: ({ fromMs, toMs, newestFirst }) =>
      newestFirst ? backwards(history, fromMs, toMs) : forwards(history, fromMs, toMs),
  };
}

async function* forwards(history: Stored, fromMs: number, toMs: number): AsyncGenerator<HistoryPage> {
  const { covers } = await history.flows({ limit: 1 });
  const coveredMs = Math.min(toMs, Date.parse(covers.from));
  let at = Math.floor(fromMs);
  if (at < coveredMs) {
    // Flows that were going on when the history began.
    const before = await slice(history, at, coveredMs, MOST_PAGES);
    if (before.size > 0) yield pageOf(before);
    at = coveredMs;
  }
  let widthMs = FIRST_WIDTH_MS;
  while (at < toMs) {
    const page = await slice(history, at, Math.min(toMs, at + widthMs), pagesOf(widthMs));
    if (page.isFull && widthMs > 1) {
      widthMs = Math.floor(widthMs / 2);
      continue;
    }
    if (page.size > 0) yield pageOf(page);
    at = page.toMs;
    if (page.size < FEW) widthMs = Math.min(GREATEST_WIDTH_MS, widthMs * 2);
  }
}

async function* backwards(history: Stored, fromMs: number, toMs: number): AsyncGenerator<HistoryPage> {
  let widthMs = FIRST_WIDTH_MS;
  for (let to = Math.ceil(toMs); to > fromMs; ) {
    const latestMs = await latestBefore(history, to);
    if (latestMs === undefined) return;
    to = Math.min(to, latestMs + 1);
    const page = await slice(history, Math.max(Math.floor(fromMs), to - widthMs), to, pagesOf(widthMs));
    if (page.isFull && widthMs > 1) {
      widthMs = Math.floor(widthMs / 2);
      continue;
    }
    if (page.size > 0) yield pageOf(page);
    to = page.fromMs;
    if (page.size < FEW) widthMs = Math.min(GREATEST_WIDTH_MS, widthMs * 2);
  }
}

function pagesOf(widthMs: number): number {
  return widthMs > 1 ? 1 : MOST_PAGES;
}

/** When the newest began or happened, so that nights without traffic are passed in one step. */
async function latestBefore(history: Stored, toMs: number): Promise<number | undefined> {
  const until = new Date(toMs).toISOString();
  const [{ flows }, { events }] = await Promise.all([
    history.flows({ until, limit: 1 }),
    history.events({ until, limit: 1 }),
  ]);
  const times = [...flows.map(({ start }) => start), ...events.map(({ time }) => time)].map((one) =>
    Date.parse(one),
  );
  return times.length === 0 ? undefined : Math.max(...times);
}

interface Slice {
  readonly fromMs: number;
  readonly toMs: number;
  /** Flows that began in it, and events. */
  readonly flows: readonly Flow[];
  readonly events: readonly FlowEvent[];
  readonly size: number;
  /** There may be more than these. */
  readonly isFull: boolean;
}

/** @param pages answers to ask for, at most: one tells whether a slice has to be finer. */
async function slice(history: Stored, fromMs: number, toMs: number, pages = 1): Promise<Slice> {
  const range = { since: new Date(fromMs).toISOString(), until: new Date(toMs).toISOString(), limit: MOST };
  const flows: Flow[] = [];
  const events: FlowEvent[] = [];
  let isFull = false;
  for (let page = 0, after: string | null | undefined; page < pages && after !== null; page++) {
    const listed = await history.flows(after === undefined ? range : { ...range, after });
    // Newest first: behind the first older one are only those that go on since before.
    const inside = listed.flows.filter(({ start }) => Date.parse(start) >= fromMs);
    flows.push(...inside);
    isFull = inside.length === MOST;
    after = isFull ? listed.next : null;
  }
  for (let page = 0, after: string | null | undefined; page < pages && after !== null; page++) {
    const listed = await history.events(after === undefined ? range : { ...range, after });
    events.push(...listed.events);
    isFull ||= listed.events.length === MOST;
    after = listed.next;
  }
  return { fromMs, toMs, flows, events, size: flows.length + events.length, isFull };
}

function pageOf({ fromMs, toMs, flows, events }: Slice): HistoryPage {
  return { fromMs, toMs, records: readBatch(batchOf(flows.flatMap(recordsOf))), events };
}

function recordsOf(stored: Flow): Recorded[] {
  // The history puts its run before the number.
  const flow = { ...stored, id: stored.id.slice(stored.id.lastIndexOf("-") + 1) };
  const sourceFlags = flow.tcpFlags;
  const destinationFlags = flow.tcpFlags.filter((flag) => flag !== "FIN" && flag !== "RST");
  return [
    { flow, change: "start", sourceFlags },
    { flow, change: flow.state === "ended" ? "end" : "update", sourceFlags, destinationFlags },
  ];
}
