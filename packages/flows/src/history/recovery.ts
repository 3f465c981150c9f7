/**
 * After a crash: flows of the run before that were going on get a last row, with what was known of them. Those of a
 * run that ended well have it already.
 */
import { readBatch } from "../recording/record.ts";
import { BLOCK_ROWS } from "./block.ts";
import { column, createRows, setRow } from "./columns.ts";
import { createDictionaries } from "./dictionaries.ts";
import type { BlockEntry } from "./file.ts";
import { packBlock } from "./pack.ts";
import { ended, recordsOf } from "./rows.ts";
import type { Partition, Store } from "./store.ts";

/** @returns how many flows were concluded. @throws what the store throws: then it can be tried again. */
export function concludeLastRun(store: Store): number {
  const newest = store.partitions.findLast(({ entries }) => entries.length > 0);
  const run = newest?.entries.at(-1)?.run;
  if (run === undefined || markOf(store, "closed", run) !== undefined) return 0;
  const from = markOf(store, "checkpoint", run) ?? 0;
  const entries = store.partitions
    .flatMap((partition) => partition.entries)
    .filter((entry) => entry.run === run && entry.number >= from);
  const over = new Set<number>();
  for (const entry of entries) if (entry.kind === "flows") for (const id of idsOf(store, entry)) over.add(id);
  const latest = latestRows(store, entries, over);

  const dictionaries = createDictionaries();
  const rows = createRows(BLOCK_ROWS);
  let concluded = 0;
  store.write((writer) => {
    const write = (): void => {
      if (rows.count === 0) return;
      const block = packBlock(rows, 0, rows.count, dictionaries);
      writer.put({ number: store.nextNumber(), kind: "flows", run }, block);
      concluded += rows.count;
      rows.count = 0;
      dictionaries.clear();
    };
    for (const [number, wanted] of latest) {
      const batch = store.read(number, (file, entry) => ended(recordsOf(file.block(entry), wanted)));
      if (batch === undefined) continue;
      const reader = readBatch(batch);
      if (dictionaries.isFull) write();
      dictionaries.begin(reader.batch);
      for (let index = 0; index < reader.batch.count; index++) {
        if (rows.count === BLOCK_ROWS) {
          write();
          dictionaries.begin(reader.batch);
        }
        setRow(rows, rows.count++, reader, index, dictionaries);
      }
    }
    write();
    writer.setMark("closed", run, 0);
  });
  return concluded;
}

export function markOf(store: Store, name: "checkpoint" | "closed", run: number): number | undefined {
  for (const partition of store.partitions.toReversed()) {
    const value = fileMark(store, partition, name, run);
    if (value !== undefined) return value;
  }
  return undefined;
}

function fileMark(
  store: Store,
  partition: Partition,
  name: "checkpoint" | "closed",
  run: number,
): number | undefined {
  // A run's marks are in files that its blocks are in, or that came later.
  return store.file(partition)?.mark(name, run);
}

/** Block number → rows that are the latest of flows which are not over. */
function latestRows(
  store: Store,
  entries: readonly BlockEntry[],
  over: ReadonlySet<number>,
): Map<number, number[]> {
  const place = new Map<number, { readonly block: number; readonly row: number }>();
  for (const entry of entries) {
    if (entry.kind !== "interim") continue;
    for (const [row, id] of idsOf(store, entry).entries())
      if (!over.has(id)) place.set(id, { block: entry.number, row });
  }
  const rows = new Map<number, number[]>();
  for (const { block, row } of place.values()) {
    const known = rows.get(block);
    if (known === undefined) rows.set(block, [row]);
    else known.push(row);
  }
  return rows;
}

function idsOf(store: Store, entry: BlockEntry): Float64Array {
  return store.read(entry.number, (file) => file.block(entry).column(column.id)) ?? new Float64Array(0);
}
