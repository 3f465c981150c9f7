/**
 * Events as the history keeps them: JSON lines in packed blocks, and beside them what they have among them. Like
 * flows they are written every few seconds as small blocks, and as one when it is full.
 */
import { setImmediate } from "node:timers/promises";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import type { FlowEvent, FlowEventKind } from "../event.ts";
import { formatCursor, parseCursor } from "./cursor.ts";
import { compileEventFilter, type EventFilter, type EventKeys, keptKinds, keysOf } from "./event-query.ts";
import type { EventQuery } from "./event-schema.ts";
import type { BlockEntry } from "./file.ts";
import { type Newest, newest } from "./newest.ts";
import type { PackedBlock } from "./packed.ts";
import { pauses } from "./pauses.ts";
import { qualified } from "./rows.ts";
import type { Store, StoreWriter } from "./store.ts";

const BLOCK_EVENTS = 2048;
/** Of each kind; a flood of drops says no more with more. */
const MOST_PER_SECOND = 500;
/** What one block may unpack to: 64 kB an event, far beyond what a DNS answer takes. */
const MOST_BYTES = BLOCK_EVENTS * 65_536;

export interface EventPage {
  readonly events: FlowEvent[];
  readonly next: string | null;
}

export interface EventKeeper {
  /** @returns how many were too many for their second. */
  take(events: readonly FlowEvent[], monotonicMs: number): number;
  /** Small blocks written so far stay where they are; the next file has its own. */
  beginFile(): void;
  /** Writes what is due; call `written` once it is so. */
  write(writer: StoreWriter): { written(): void };
  /** @throws X0_FLOWS_INVALID_FILTER */
  query(query: EventQuery, nowMs: number): Promise<EventPage>;
  /** All events of a stretch of time, oldest block first, for sums; a block's are in order. */
  scan(sinceMs: number, untilMs: number): AsyncIterable<readonly FlowEvent[]>;
}

interface Kept {
  readonly number: number;
  readonly event: FlowEvent;
}

export function createEventKeeper(store: Store, run: number): EventKeeper {
  let kept: Kept[] = [];
  let written = 0;
  let tails: number[] = [];
  let lastNumber = 0;
  let secondBegan = Number.NEGATIVE_INFINITY;
  const inSecond = new Map<FlowEventKind, number>();

  const isTail = (block: number): boolean => tails.includes(block);
  const add = (
    best: Newest<FlowEvent>,
    list: readonly Kept[],
    eventRun: number,
    filter: EventFilter,
  ): void => {
    const candidates = list.flatMap(({ number, event }, row) =>
      filter.matches(event)
        ? [{ cursor: { startMs: Date.parse(event.time), run: eventRun, id: number }, row }]
        : [],
    );
    best.add(candidates, (rows) => rows.map((row) => (list[row] as Kept).event));
  };
  const entriesWithin = (sinceMs: number, untilMs: number): BlockEntry[] =>
    store.partitions
      .flatMap(({ entries }) => entries)
      .filter(
        (entry) =>
          entry.kind === "events" &&
          entry.maxEndMs >= sinceMs &&
          entry.minStartMs < untilMs &&
          !isTail(entry.number),
      );

  return {
    take(events, monotonicMs) {
      if (monotonicMs - secondBegan >= 1000) {
        secondBegan = monotonicMs;
        inSecond.clear();
      }
      let tooMany = 0;
      for (const event of events) {
        if (!(keptKinds as readonly string[]).includes(event.kind)) continue;
        const count = (inSecond.get(event.kind) ?? 0) + 1;
        inSecond.set(event.kind, count);
        // While nothing can be written, what waits stays bounded too.
        if (count > MOST_PER_SECOND || kept.length >= 4 * BLOCK_EVENTS) tooMany++;
        else
          kept.push({
            number: ++lastNumber,
            event: event.flow === null ? event : { ...event, flow: qualified(run, event.flow) },
          });
      }
      return tooMany;
    },
    beginFile() {
      kept = kept.slice(written);
      written = 0;
      tails = [];
    },
    write(writer) {
      if (kept.length === written) return { written() {} };
      const isFull = kept.length >= BLOCK_EVENTS;
      if (isFull) for (const tail of tails) writer.remove(tail);
      const numbers: number[] = [];
      for (let from = isFull ? 0 : written; from < kept.length; from += BLOCK_EVENTS) {
        const number = store.nextNumber();
        numbers.push(number);
        writer.put({ number, kind: "events", run }, packEvents(kept.slice(from, from + BLOCK_EVENTS)));
      }
      const count = kept.length;
      return {
        written() {
          if (isFull) kept = kept.slice(count);
          written = isFull ? 0 : count;
          tails = isFull ? [] : [...tails, ...numbers];
        },
      };
    },
    async query(query, nowMs) {
      const filter = compileEventFilter(query, nowMs);
      const best = newest<FlowEvent>(
        query.limit,
        query.after === undefined ? undefined : parseCursor(query.after),
      );
      add(best, kept, run, filter);
      const entries = entriesWithin(filter.sinceMs, filter.untilMs).sort(
        (a, b) => b.maxStartMs - a.maxStartMs,
      );
      const pause = pauses();
      for (const entry of entries) {
        if (!best.wants(entry.maxStartMs)) break;
        if (!best.reaches(entry.minStartMs)) continue;
        const list = read(store, entry, (keys) => filter.mayMatch(keys));
        add(best, list, entry.run, filter);
        await pause();
      }
      const page = best.held.slice(0, query.limit);
      const last = page.at(-1);
      const isMore = best.held.length > query.limit && last !== undefined;
      return { events: page.map(({ value }) => value), next: isMore ? formatCursor(last.cursor) : null };
    },
    async *scan(sinceMs, untilMs) {
      const waiting = kept.map(({ event }) => event);
      for (const entry of entriesWithin(sinceMs, untilMs)) {
        yield read(store, entry, () => true).map(({ event }) => event);
        await setImmediate();
      }
      yield waiting;
    },
  };
}

function packEvents(kept: readonly Kept[]): PackedBlock {
  const times = kept.map(({ event }) => Date.parse(event.time));
  const minMs = times.reduce((least, time) => Math.min(least, time), Number.POSITIVE_INFINITY);
  const maxMs = times.reduce((most, time) => Math.max(most, time), 0);
  const pack = (value: unknown): Uint8Array =>
    zstdCompressSync(JSON.stringify(value), { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
  return {
    count: kept.length,
    minStartMs: minMs,
    maxStartMs: maxMs,
    minEndMs: minMs,
    maxEndMs: maxMs,
    header: "",
    dictionaries: pack(keysOf(kept.map(({ event }) => event))),
    hot: new Uint8Array(0),
    sketch: new Uint8Array(0),
    cold: pack(kept.map(({ number, event }) => [number, event])),
  };
}

/** The events of a block; none where `isWanted` refuses its keys, or where it is damaged. */
function read(store: Store, entry: BlockEntry, isWanted: (keys: EventKeys) => boolean): readonly Kept[] {
  return (
    store.read(entry.number, (file) => {
      const unpack = (part: "dictionaries" | "cold"): unknown =>
        JSON.parse(
          zstdDecompressSync(file.part(entry.number, part), { maxOutputLength: MOST_BYTES }).toString(),
        );
      const keys = unpack("dictionaries") as Partial<EventKeys>;
      for (const key of ["kinds", "ips", "names", "flows"] as const)
        if (!Array.isArray(keys[key]) || !keys[key].every((each) => typeof each === "string"))
          throw new RangeError("the keys of a block are damaged");
      if (!isWanted(keys as EventKeys)) return [];
      const rows = unpack("cold");
      if (!Array.isArray(rows)) throw new RangeError("a block of events is damaged");
      return rows.map((row: unknown): Kept => {
        const [number, event] = Array.isArray(row) ? row : [];
        if (typeof number !== "number" || !isEvent(event)) throw new RangeError("an event is damaged");
        return { number, event };
      });
    }) ?? []
  );
}

/** The checksum vouches for what we wrote; this for that it was we who wrote it. */
function isEvent(value: unknown): value is FlowEvent {
  const { kind, time, source, destination } = Object(value) as Partial<FlowEvent>;
  return (
    typeof kind === "string" &&
    typeof time === "string" &&
    typeof source?.ip === "string" &&
    typeof destination?.ip === "string"
  );
}
