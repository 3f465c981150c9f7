/** The folder of history files: which there are, which is written, and which must go. */
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { messageOf, X0Error } from "@x0tta6bl4/core";
import type { CoverageRow } from "./coverage.ts";
import {
  type BlockEntry,
  type FileWriter,
  type HistoryFile,
  isHistoryFile,
  openHistoryFile,
} from "./file.ts";
import type { PackedBlock } from "./packed.ts";
import type { Stretch } from "./stretches.ts";

const HOUR_MS = 3_600_000;
/** Files open at once: each holds descriptors, and up to 1 MB of pages. */
const MOST_OPEN = 8;
/** So many files make up the whole size, so that deleting one is a small step. */
const LEAST_FILES = 16;

const namePattern = /^flows-(\d{8})\.db$/;
const ownPattern = /^flows-\d{8}\.db(-wal|-shm|-journal)?$/;

export interface Partition {
  readonly number: number;
  readonly path: string;
  readonly entries: readonly BlockEntry[];
  readonly coverage: readonly CoverageRow[];
  /** Blocks that have sums. */
  readonly stretches: readonly Stretch[];
}

export interface StoreOptions {
  readonly folder: string;
  readonly maxBytes: number;
  readonly maxAgeMs: number;
}

export interface Store extends Disposable {
  /** Oldest first. */
  readonly partitions: readonly Partition[];
  /** What is in the folder but is not read, each with the reason. */
  readonly skipped: readonly string[];
  /** Blocks that could not be read. */
  readonly damaged: ReadonlySet<number>;
  /** A number for a block to come. */
  nextNumber(): number;
  /** Writes into the newest file, which must be begun, all or nothing. @throws X0_CORE_DISK_FULL and what else `databaseError` tells */
  write(change: (writer: StoreWriter) => void): void;
  /** Reads a block as long as the call lasts. @returns undefined where it is damaged or deleted by now. */
  read<T>(number: number, reading: (file: HistoryFile, entry: BlockEntry) => T): T | undefined;
  entry(number: number): BlockEntry | undefined;
  file(partition: Partition): HistoryFile | undefined;
  /** Whether there is no file to write, or the newest is old or large. */
  isFileDue(monotonicMs: number): boolean;
  /** Begins a new one; what is to be in one file must be written by now. @throws what `openDatabase` throws */
  beginFile(monotonicMs: number): void;
  /** Leaves a block out of all answers: its rows are elsewhere. */
  forget(number: number): void;
  /** Deletes what is beyond size and age, oldest first; not the file being written. */
  retain(nowMs: number, mayDeleteByAge: boolean): void;
  sizeBytes(): number;
  /** When the first flow of the oldest file began. */
  oldestMs(): number | undefined;
}

export interface StoreWriter extends Omit<FileWriter, "cover" | "putSums"> {
  putSums(blocks: readonly number[], packed: Uint8Array): void;
  /** New where its id is 0, else in place of the one before. */
  cover(row: CoverageRow): void;
}

interface Held extends Partition {
  readonly entries: BlockEntry[];
  readonly coverage: CoverageRow[];
  readonly stretches: Stretch[];
  openedAtMs: number | undefined;
}

/** @throws what making the folder or the first file throws; damaged and foreign files are skipped. */
export function openStore({ folder, maxBytes, maxAgeMs }: StoreOptions): Store {
  const skipped: string[] = [];
  const partitions: Held[] = [];
  const opened = new Map<number, HistoryFile>();
  /** Block number → where it is. */
  const places = new Map<number, { readonly held: Held; readonly entry: BlockEntry }>();
  let lastNumber = 0;
  let lastFile = 0;
  const damaged = new Set<number>();
  let lastCoverage = 0;

  const open = (partition: { readonly number: number; readonly path: string }): HistoryFile => {
    const known = opened.get(partition.number);
    if (known !== undefined) {
      // Again at the end: the one that was not used for longest is closed first.
      opened.delete(partition.number);
      opened.set(partition.number, known);
      return known;
    }
    const file = openHistoryFile(partition.path);
    opened.set(partition.number, file);
    for (const [number, each] of opened) {
      if (opened.size <= MOST_OPEN) break;
      opened.delete(number);
      each[Symbol.dispose]();
    }
    return file;
  };
  const admit = (name: string): void => {
    const number = Number((namePattern.exec(name) as RegExpExecArray)[1]);
    const path = join(folder, name);
    lastFile = Math.max(lastFile, number);
    try {
      if (!isHistoryFile(path)) throw new Error("it is no history of flows");
      const file = open({ number, path });
      const entries = file.entries();
      const held: Held = {
        number,
        path,
        entries,
        coverage: file.coverage(),
        stretches: file.stretches(),
        openedAtMs: undefined,
      };
      partitions.push(held);
      for (const entry of entries) places.set(entry.number, { held, entry });
      lastCoverage = Math.max(lastCoverage, ...held.coverage.map((row) => row.id));
      lastNumber = Math.max(lastNumber, entries.at(-1)?.number ?? 0);
    } catch (error) {
      opened.get(number)?.[Symbol.dispose]();
      opened.delete(number);
      skipped.push(`${name}: ${messageOf(error)}`);
    }
  };
  const names = readdirSync(folder).sort();
  for (const name of names)
    if (namePattern.test(name)) admit(name);
    else if (!ownPattern.test(name)) skipped.push(`${name}: it is no history of flows`);

  const begin = (monotonicMs: number): void => {
    const number = lastFile + 1;
    const path = join(folder, `flows-${String(number).padStart(8, "0")}.db`);
    try {
      open({ number, path });
    } catch (error) {
      remove(path);
      throw error;
    }
    lastFile = number;
    partitions.push({ number, path, entries: [], coverage: [], stretches: [], openedAtMs: monotonicMs });
  };
  const drop = (held: Held): void => {
    opened.get(held.number)?.[Symbol.dispose]();
    opened.delete(held.number);
    partitions.splice(partitions.indexOf(held), 1);
    for (const entry of held.entries) places.delete(entry.number);
    remove(held.path);
  };
  const read = <T>(number: number, reading: (file: HistoryFile, entry: BlockEntry) => T): T | undefined => {
    const place = places.get(number);
    if (place === undefined) return undefined;
    try {
      return reading(open(place.held), place.entry);
    } catch (error) {
      if (!isDamage(error)) throw error;
      damaged.add(number);
      return undefined;
    }
  };
  const sizeOf = ({ path }: Partition): number => bytesOf(path) + bytesOf(`${path}-wal`);
  const sizeBytes = (): number => partitions.reduce((sum, each) => sum + sizeOf(each), 0);

  return {
    partitions,
    skipped,
    damaged,
    nextNumber: () => ++lastNumber,
    write(change) {
      const held = partitions.at(-1);
      if (held === undefined) throw new Error("no file was begun");
      const added: BlockEntry[] = [];
      const removed: number[] = [];
      const covered: CoverageRow[] = [];
      const summed: Stretch[] = [];
      open(held).transaction((writer) =>
        change({
          put(entry, block) {
            writer.put(entry, block);
            added.push({ ...entry, ...spanOf(block) });
          },
          remove(number) {
            writer.remove(number);
            removed.push(number);
          },
          setMark: writer.setMark,
          putSums(blocks, packed) {
            summed.push(writer.putSums(blocks, packed));
          },
          cover(row) {
            // Rows of an older file stay there as they were; what continues them here is a row of its own.
            if (row.id === 0 || !held.coverage.some((each) => each.id === row.id)) row.id = ++lastCoverage;
            writer.cover(row);
            covered.push(row);
          },
        }),
      );
      // Only now is it so.
      for (const number of removed) {
        places.delete(number);
        const at = held.entries.findIndex((entry) => entry.number === number);
        if (at >= 0) held.entries.splice(at, 1);
      }
      for (const entry of added) {
        held.entries.push(entry);
        places.set(entry.number, { held, entry });
      }
      held.stretches.push(...summed);
      for (const row of covered) if (!held.coverage.includes(row)) held.coverage.push(row);
    },
    read,
    entry: (number) => places.get(number)?.entry,
    file(partition) {
      return partitions.includes(partition as Held) ? open(partition) : undefined;
    },
    isFileDue(monotonicMs) {
      const newest = partitions.at(-1);
      if (newest === undefined) return true;
      // One of an earlier start may be older than it knows.
      if (newest.openedAtMs === undefined) newest.openedAtMs = monotonicMs;
      const isOld = monotonicMs - newest.openedAtMs >= HOUR_MS && newest.entries.length > 0;
      return isOld || sizeOf(newest) > maxBytes / LEAST_FILES;
    },
    beginFile: begin,
    forget(number) {
      const place = places.get(number);
      if (place === undefined) return;
      places.delete(number);
      place.held.entries.splice(place.held.entries.indexOf(place.entry), 1);
    },
    retain(nowMs, mayDeleteByAge) {
      const isOver = (held: Held): boolean =>
        mayDeleteByAge && held.entries.length > 0 && latestOf(held) < nowMs - maxAgeMs;
      for (const held of partitions.slice(0, -1)) if (isOver(held)) drop(held);
      while (partitions.length > 1 && sizeBytes() > maxBytes) drop(partitions[0] as Held);
    },
    sizeBytes,
    oldestMs() {
      const oldest = partitions.find(({ entries }) => entries.length > 0);
      return oldest?.entries.reduce((least, entry) => Math.min(least, entry.minStartMs), Number.MAX_VALUE);
    },
    [Symbol.dispose]() {
      for (const file of opened.values()) file[Symbol.dispose]();
      opened.clear();
    },
  };
}

/** What unpacking and SQLite throw at bytes that we have not written. */
function isDamage(error: unknown): boolean {
  if (error instanceof RangeError || error instanceof SyntaxError || error instanceof X0Error) return true;
  return error instanceof Error && typeof (error as { code?: unknown }).code === "string";
}

function spanOf({ count, minStartMs, maxStartMs, minEndMs, maxEndMs }: PackedBlock) {
  return { count, minStartMs, maxStartMs, minEndMs, maxEndMs };
}

function latestOf({ entries }: Partition): number {
  return entries.reduce((most, entry) => Math.max(most, entry.maxEndMs), Number.NEGATIVE_INFINITY);
}

function bytesOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function remove(path: string): void {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true });
}
