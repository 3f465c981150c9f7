/** One file of the history: blocks of about an hour, and what they cover. A file is complete in itself. */
import { closeSync, openSync, readSync } from "node:fs";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { databaseError, openDatabase } from "@x0tta6bl4/core";
import type { Block, BlockSpan } from "./block.ts";
import type { CoverageRow } from "./coverage.ts";
import type { BlockPart, PackedBlock } from "./packed.ts";
import { checkedSketch, SKETCH_FORM, type Sketch } from "./sketch.ts";
import type { Stretch } from "./stretches.ts";
import { unpackBlock } from "./unpack.ts";

/** Told apart from other databases by this, at byte 68 of the file (sqlite.org/fileformat2.html §1.3.12). */
const APPLICATION_ID = 0x78_30_66_68;

const migrations = [
  `PRAGMA application_id = ${APPLICATION_ID};
  CREATE TABLE blocks (
    number INTEGER PRIMARY KEY, kind INTEGER NOT NULL, run INTEGER NOT NULL, rows INTEGER NOT NULL,
    min_start INTEGER NOT NULL, max_start INTEGER NOT NULL, min_end INTEGER NOT NULL, max_end INTEGER NOT NULL
  );
  CREATE TABLE parts (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
  CREATE TABLE sketches (number INTEGER PRIMARY KEY, data BLOB NOT NULL);
  CREATE TABLE coverage (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, from_ms REAL NOT NULL, to_ms REAL NOT NULL,
    lost_packets REAL NOT NULL, lost_bytes REAL NOT NULL, lost_events REAL NOT NULL, uncounted REAL NOT NULL,
    reason TEXT
  );
  CREATE TABLE marks (name TEXT NOT NULL, run INTEGER NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (name, run));`,
  // Sketches of before have fewer keys: see `keys.ts`.
  `ALTER TABLE sketches ADD COLUMN form INTEGER NOT NULL DEFAULT 1`,
  "CREATE TABLE sums (id INTEGER PRIMARY KEY, blocks TEXT NOT NULL, data BLOB NOT NULL)",
];

/** Flows at their end; flows as they were while they went on; events. */
export const blockKinds = ["flows", "interim", "events"] as const;
export type BlockKind = (typeof blockKinds)[number];

export interface BlockEntry extends BlockSpan {
  /** Rises with each block, over all files. */
  readonly number: number;
  readonly kind: BlockKind;
  /** When the agent that saw it started, Unix milliseconds. */
  readonly run: number;
}

/** `checkpoint`: all flows of the run that are open have a row in a block from this one on. `closed`: it ended well. */
export type MarkName = "checkpoint" | "closed";

const partNames: readonly (BlockPart | "header")[] = ["header", "dictionaries", "hot", "cold"];

export interface HistoryFile extends Disposable {
  readonly path: string;
  entries(): BlockEntry[];
  coverage(): CoverageRow[];
  mark(name: MarkName, run: number): number | undefined;
  /** All of it or nothing. @throws X0_CORE_DISK_FULL and what else `databaseError` tells */
  transaction(change: (writer: FileWriter) => void): void;
  /** @throws where the block is damaged or gone. */
  block(entry: BlockEntry): Block;
  part(number: number, part: "header" | BlockPart): Uint8Array;
  sketch(number: number): Sketch;
  stretches(): Stretch[];
  /** Of a stretch, packed. */
  sums(id: number): Uint8Array | undefined;
}

export interface FileWriter {
  put(entry: Pick<BlockEntry, "number" | "kind" | "run">, block: PackedBlock): void;
  remove(number: number): void;
  /** Sums over all rows of blocks of this file. */
  putSums(blocks: readonly number[], packed: Uint8Array): Stretch;
  cover(row: CoverageRow): void;
  setMark(name: MarkName, run: number, value: number): void;
}

/**
 * Whether a file may be opened as history: ours, or one that a crash left before its first checkpoint, which has no
 * page but the first. A foreign database would be changed by opening it.
 */
export function isHistoryFile(path: string): boolean {
  const header = new Uint8Array(100);
  const descriptor = openSync(path, "r");
  try {
    const length = readSync(descriptor, header, 0, header.length, 0);
    if (length === 0) return true;
    if (length < header.length) return false;
    const view = new DataView(header.buffer);
    const isDatabase = Buffer.from(header.subarray(0, 16)).toString("latin1") === "SQLite format 3\0";
    return isDatabase && (view.getUint32(68) === APPLICATION_ID || view.getUint32(28) <= 1);
  } finally {
    closeSync(descriptor);
  }
}

/** @throws what `openDatabase` throws */
export function openHistoryFile(path: string): HistoryFile {
  const database = openDatabase({ path, migrations });
  // The log never stays larger than what one transaction needs.
  database.exec("PRAGMA journal_size_limit = 1048576; PRAGMA cache_size = -1024");
  const statements = new Map<string, StatementSync>();
  const statement = (sql: string): StatementSync => {
    const known = statements.get(sql) ?? database.prepare(sql);
    statements.set(sql, known);
    return known;
  };
  const part = (number: number, name: BlockPart | "header"): Uint8Array => {
    const row = statement("SELECT data FROM parts WHERE id = ?").get(4 * number + partNames.indexOf(name));
    if (!(row?.["data"] instanceof Uint8Array)) throw new RangeError(`block ${number} has no ${name}`);
    return row["data"];
  };
  const writer = writerOf(statement);
  return {
    path,
    entries: () => statement("SELECT * FROM blocks ORDER BY number").all().flatMap(entryOf),
    coverage: () => statement("SELECT * FROM coverage ORDER BY id").all().map(coverageOf),
    mark(name, run) {
      const row = statement("SELECT value FROM marks WHERE name = ? AND run = ?").get(name, run);
      return row === undefined ? undefined : Number(row["value"]);
    },
    transaction(change) {
      try {
        database.exec("BEGIN IMMEDIATE");
        change(writer);
        database.exec("COMMIT");
      } catch (error) {
        rollBack(database);
        throw databaseError(path, error);
      }
    },
    block: ({ number, count }) =>
      unpackBlock(count, Buffer.from(part(number, "header")).toString(), (name) => part(number, name)),
    part,
    sketch(number) {
      const row = statement("SELECT form, data FROM sketches WHERE number = ?").get(number);
      if (row?.["data"] instanceof Uint8Array) return checkedSketch(row["data"], Number(row["form"]));
      throw new RangeError(`block ${number} has no sketch`);
    },
    stretches: () => statement("SELECT id, blocks FROM sums ORDER BY id").all().flatMap(stretchOf),
    sums(id) {
      const row = statement("SELECT data FROM sums WHERE id = ?").get(id);
      return row?.["data"] instanceof Uint8Array ? row["data"] : undefined;
    },
    [Symbol.dispose]: () => database.close(),
  };
}

function writerOf(statement: (sql: string) => StatementSync): FileWriter {
  return {
    put({ number, kind, run }, { header, sketch, dictionaries, hot, cold, ...span }) {
      const { count, minStartMs, maxStartMs, minEndMs, maxEndMs } = span;
      const times = [minStartMs, maxStartMs, minEndMs, maxEndMs];
      const values = [number, blockKinds.indexOf(kind), run, count, ...times];
      statement("INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?)").run(...values);
      statement("INSERT INTO sketches VALUES (?, ?, ?)").run(number, sketch, SKETCH_FORM);
      for (const [index, bytes] of [Buffer.from(header), dictionaries, hot, cold].entries())
        statement("INSERT INTO parts VALUES (?, ?)").run(4 * number + index, bytes);
    },
    remove(number) {
      statement("DELETE FROM blocks WHERE number = ?").run(number);
      statement("DELETE FROM sketches WHERE number = ?").run(number);
      statement("DELETE FROM parts WHERE id BETWEEN ? AND ?").run(4 * number, 4 * number + 3);
    },
    putSums(blocks, packed) {
      const { lastInsertRowid } = statement("INSERT INTO sums (blocks, data) VALUES (?, ?)").run(
        JSON.stringify(blocks),
        packed,
      );
      return { id: Number(lastInsertRowid), blocks };
    },
    cover({ id, run, fromMs, toMs, lostPackets, lostBytes, lostEvents, uncounted, reason }) {
      const lost = [lostPackets, lostBytes, lostEvents, uncounted];
      const values = [id, run, fromMs, toMs, ...lost, reason];
      statement("INSERT OR REPLACE INTO coverage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)").run(...values);
    },
    setMark(name, run, value) {
      statement("INSERT OR REPLACE INTO marks VALUES (?, ?, ?)").run(name, run, value);
    },
  };
}

/** A full disk may have rolled back by itself. */
function rollBack(database: DatabaseSync): void {
  if (!database.isTransaction) return;
  try {
    database.exec("ROLLBACK");
  } catch {
    // The error that led here is the one to tell; the next transaction starts anew either way.
  }
}

type Row = Record<string, unknown>;

/** A row that we cannot have written is left out. */
function entryOf(row: Row): BlockEntry[] {
  const kind = blockKinds[Number(row["kind"])];
  const entry = {
    number: Number(row["number"]),
    run: Number(row["run"]),
    count: Number(row["rows"]),
    minStartMs: Number(row["min_start"]),
    maxStartMs: Number(row["max_start"]),
    minEndMs: Number(row["min_end"]),
    maxEndMs: Number(row["max_end"]),
  };
  return kind === undefined || !Object.values(entry).every(Number.isSafeInteger) ? [] : [{ ...entry, kind }];
}

/** Likewise. */
function stretchOf(row: Row): Stretch[] {
  const text = String(row["blocks"]);
  if (!/^\[\d{1,15}(,\d{1,15})*\]$/.test(text)) return [];
  return [{ id: Number(row["id"]), blocks: JSON.parse(text) as number[] }];
}

function coverageOf(row: Row): CoverageRow {
  return {
    id: Number(row["id"]),
    run: Number(row["run"]),
    fromMs: Number(row["from_ms"]),
    toMs: Number(row["to_ms"]),
    lostPackets: Number(row["lost_packets"]),
    lostBytes: Number(row["lost_bytes"]),
    lostEvents: Number(row["lost_events"]),
    uncounted: Number(row["uncounted"]),
    reason: typeof row["reason"] === "string" ? row["reason"] : null,
  };
}
