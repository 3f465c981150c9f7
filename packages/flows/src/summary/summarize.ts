/** Sums up a stretch of the history, in bounded memory, a slice at a time. */
import { requireMoment } from "../filter.ts";
import type { FlowList } from "../flow.ts";
import { type Block, liveBlock } from "../history/block.ts";
import type { EventKeeper } from "../history/events.ts";
import type { BlockEntry } from "../history/file.ts";
import { pauses } from "../history/pauses.ts";
import type { Recorder } from "../history/recorder.ts";
import type { Partition, Store } from "../history/store.ts";
import { readTallies, type Stretch } from "../history/stretches.ts";
import { type HeavyHitters, heavyHitters } from "./heavy-hitters.ts";
import type { Summary, SummaryQuery } from "./schema.ts";
import { createSums, type Sums } from "./sums.ts";
import { destinationsOf, type Tallies, talliesOf } from "./tallies.ts";

const DAY_MS = 86_400_000;
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

interface Time {
  readonly sinceMs: number;
  readonly untilMs: number;
}

/** Blocks of a time, by the sums that are kept of them, and those of whose rows some are outside or no sums are kept. */
interface Selection {
  readonly stretches: readonly { readonly stretch: Stretch; readonly partition: Partition }[];
  readonly blocks: readonly number[];
}

function select({ store, recorder }: SummarySources, { sinceMs, untilMs }: Time): Selection {
  const entries = new Map<number, BlockEntry>();
  for (const entry of store.partitions.flatMap(({ entries }) => entries))
    if (
      entry.kind !== "events" &&
      entry.maxEndMs >= sinceMs &&
      entry.minEndMs < untilMs &&
      !recorder.isTail(entry.number)
    )
      entries.set(entry.number, entry);
  const isWithin = (number: number): boolean => {
    const entry = entries.get(number);
    return entry !== undefined && entry.minEndMs >= sinceMs && entry.maxEndMs < untilMs;
  };
  const stretches: { readonly stretch: Stretch; readonly partition: Partition }[] = [];
  // Those of whole files first. What one has taken is no longer there for another.
  for (const partition of store.partitions)
    for (const stretch of partition.stretches.toSorted((a, b) => b.blocks.length - a.blocks.length)) {
      if (!stretch.blocks.every(isWithin)) continue;
      for (const number of stretch.blocks) entries.delete(number);
      stretches.push({ stretch, partition });
    }
  return { stretches, blocks: [...entries.keys()] };
}

/** @param add what is to be done with sums, or else with the blocks that they are of. */
async function each(
  { store }: SummarySources,
  { stretches, blocks }: Selection,
  add: (of: Tallies | Block) => void,
): Promise<void> {
  const pause = pauses();
  const addBlock = async (number: number): Promise<void> => {
    store.read(number, (file, entry) => add(file.block(entry)));
    await pause();
  };
  for (const { stretch, partition } of stretches) {
    const tallies = readTallies(store, partition, stretch);
    if (tallies !== undefined) add(tallies);
    else for (const number of stretch.blocks) await addBlock(number);
    await pause();
  }
  for (const number of blocks) await addBlock(number);
}

/** Rows that no full block has yet. */
function waiting({ recorder }: SummarySources): { block: Block; isCounted?: (row: number) => boolean }[] {
  const { piles, young, dictionaries } = recorder;
  const lists = [...piles.map(({ rows }) => ({ rows })), { rows: young.rows, isCounted: young.isHere }];
  return lists
    .filter(({ rows }) => rows.count > 0)
    .map(({ rows, ...rest }) => ({ block: liveBlock(rows, dictionaries), ...rest }));
}

async function addKnown(sources: SummarySources, sums: Sums, time: Time): Promise<void> {
  for (const { block } of waiting(sources)) sums.addKnown(destinationsOf(block, time.sinceMs, time.untilMs));
  await each(sources, select(sources, time), (of) =>
    sums.addKnown("total" in of ? of.destinations.keys() : destinationsOf(of, time.sinceMs, time.untilMs)),
  );
}

async function addRows(sources: SummarySources, sums: Sums, sinceMs: number, untilMs: number): Promise<void> {
  // Rows that wait first, and the list of blocks at the same moment: then each row is met once.
  const selection = select(sources, { sinceMs, untilMs });
  const add = (block: Block, isCounted?: (row: number) => boolean): void =>
    sums.add(talliesOf(block, sinceMs, untilMs, isCounted));
  for (const { block, isCounted } of waiting(sources)) add(block, isCounted);
  await each(sources, selection, (of) => ("total" in of ? sums.add(of) : add(of)));
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
