/** Sums up a stretch of the history, in bounded memory, a slice at a time. */
import { setImmediate } from "node:timers/promises";
import { requireMoment } from "../filter.ts";
import type { FlowList } from "../flow.ts";
import { liveBlock } from "../history/block.ts";
import type { EventKeeper } from "../history/events.ts";
import type { Recorder } from "../history/recorder.ts";
import type { Store } from "../history/store.ts";
import { type HeavyHitters, heavyHitters } from "./heavy-hitters.ts";
import type { Summary, SummaryQuery } from "./schema.ts";
import { createSums, type Sums } from "./sums.ts";

const DAY_MS = 86_400_000;
const SLICE_MS = 10;
const CAPACITY = 4096;

export interface SummarySources {
  readonly store: Store;
  readonly recorder: Recorder;
  readonly keeper: EventKeeper;
  covers(range: { readonly sinceMs: number; readonly untilMs: number }): FlowList["covers"];
}

/** @throws X0_FLOWS_INVALID_FILTER */
export async function summarize(
  sources: SummarySources,
  query: SummaryQuery,
  nowMs: number,
): Promise<Summary> {
  const sinceMs = requireMoment("since", query.since, nowMs);
  const untilMs = Math.max(sinceMs, requireMoment("until", query.until, nowMs));
  const before = { sinceMs: sinceMs - Math.max(DAY_MS, untilMs - sinceMs), untilMs: sinceMs };
  const sums = createSums();
  await addKnown(sources, sums, before);
  await addRows(sources, sums, sinceMs, untilMs);
  const events = await sumEvents(sources.keeper, sinceMs, untilMs);
  const reach = sources.covers(before);
  const { top } = query;
  const lists: Record<string, HeavyHitters<Record<string, number>, unknown>> = {
    talkers: sums.talkers,
    services: sums.services,
    processes: sums.processes,
    newDestinations: sums.fresh,
    drops: events.drops,
    dnsFailures: events.failures,
    scans: events.scans,
  };
  const estimated = Object.entries(lists).flatMap(([name, list]) => (list.missing > 0 ? [name] : []));
  if (sums.known.isEstimate && !estimated.includes("newDestinations")) estimated.push("newDestinations");
  return {
    covers: sources.covers({ sinceMs, untilMs }),
    total: sums.total,
    talkers: sums.talkers
      .top(top)
      .map(({ key, sums: traffic, detail }) => ({ ip: key, ...detail, ...traffic })),
    services: sums.services.top(top).map(({ sums: traffic, detail }) => ({ ...detail, ...traffic })),
    processes: sums.processes.top(top).map(({ sums: traffic, detail: { comm, unit, container } }) => ({
      process: comm,
      unit,
      container,
      ...traffic,
    })),
    drops: events.drops.top(top).map(({ key, weight }) => ({ reason: key, packets: weight })),
    dnsFailures: events.failures.top(top).map(({ weight, detail }) => ({ ...detail, count: weight })),
    scans: events.scans.top(top).map(({ detail }) => detail),
    newDestinations: sums.fresh.top(top).map(({ key, sums: traffic, detail: { name, firstMs } }) => ({
      ip: key,
      name,
      first: new Date(firstMs).toISOString(),
      ...traffic,
    })),
    compared: {
      from: new Date(before.sinceMs).toISOString(),
      to: new Date(before.untilMs).toISOString(),
      // A minute: the first interval begins when the agent was ready.
      isComplete: Date.parse(reach.from) <= before.sinceMs + 60_000 && (reach.gaps ?? []).length === 0,
    },
    estimated,
  };
}

async function addKnown(
  { store }: SummarySources,
  sums: Sums,
  { sinceMs, untilMs }: { readonly sinceMs: number; readonly untilMs: number },
): Promise<void> {
  const pause = pauses();
  for (const { kind, maxEndMs, minEndMs, number } of store.partitions.flatMap(({ entries }) => entries)) {
    if (kind === "events" || maxEndMs < sinceMs || minEndMs >= untilMs) continue;
    store.read(number, (file, entry) => sums.addKnown(file.block(entry), sinceMs, untilMs));
    await pause();
  }
}

async function addRows(
  { store, recorder }: SummarySources,
  sums: Sums,
  sinceMs: number,
  untilMs: number,
): Promise<void> {
  // Rows that wait first, and the list of blocks at the same moment: then each row is met once.
  const blocks = store.partitions
    .flatMap(({ entries }) => entries)
    .filter(
      ({ kind, minEndMs, maxEndMs, number }) =>
        kind !== "events" && maxEndMs >= sinceMs && minEndMs < untilMs && !recorder.isTail(number),
    );
  for (const { rows } of recorder.piles)
    if (rows.count > 0) sums.add(liveBlock(rows, recorder.dictionaries), sinceMs, untilMs);
  const { rows, isHere } = recorder.young;
  if (rows.count > 0) sums.add(liveBlock(rows, recorder.dictionaries), sinceMs, untilMs, isHere);
  const pause = pauses();
  for (const { number } of blocks) {
    store.read(number, (file, entry) => sums.add(file.block(entry), sinceMs, untilMs));
    await pause();
  }
}

type Count = { count: number };
type Scan = Summary["scans"][number];

async function sumEvents(keeper: EventKeeper, sinceMs: number, untilMs: number) {
  const drops = heavyHitters<Count, null>(CAPACITY, () => null);
  const failures = heavyHitters<Count, { readonly name: string; readonly rcode: string | null }>(
    CAPACITY,
    (a) => a,
  );
  const scans = heavyHitters<Count, Scan>(CAPACITY, (a, b) => {
    const later = b.latest > a.latest ? b : a;
    return { ...later, count: Math.max(a.count, b.count) };
  });
  const one = { count: 1 };
  for await (const events of keeper.scan(sinceMs, untilMs))
    for (const event of events) {
      const timeMs = Date.parse(event.time);
      if (timeMs < sinceMs || timeMs >= untilMs) continue;
      if (event.kind === "drop") drops.add(event.reason, 1, one, null);
      else if (event.kind === "dns" && event.rcode !== "NOERROR") {
        const { name, rcode } = event;
        failures.add(JSON.stringify([name, rcode]), 1, one, { name, rcode });
      } else if (event.kind === "scan") {
        const { source, destination, scan, count, time } = event;
        const detail = { ip: source.ip, scan, target: destination.ip, count, latest: time };
        scans.add(`${source.ip} ${scan}`, count, one, detail);
      }
    }
  return { drops, failures, scans };
}

/** Lets others have the thread now and then. */
function pauses(): () => Promise<void> {
  let pausedMs = performance.now();
  return async () => {
    if (performance.now() - pausedMs <= SLICE_MS) return;
    await setImmediate();
    pausedMs = performance.now();
  };
}
