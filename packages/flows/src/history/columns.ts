/**
 * Records column by column: what a block holds, in memory and on disk. Each column is an array of whole numbers from
 * 0 up to 2^53; addresses, strings, processes and translations are indexes into dictionaries.
 */
import { RECORD_WORDS, type RecordReader, recordWord } from "../recording/record.ts";
import type { Dictionaries } from "./dictionaries.ts";

/** The order is the format's: append only, and only with a new file version. */
export const columnNames = [
  "kind",
  "start",
  "end",
  "source",
  "destination",
  "sourcePort",
  "destinationPort",
  "protocol",
  "sourceName",
  "destinationName",
  "serverName",
  "process",
  "peerProcess",
  "drops",
  "id",
  "netns",
  "icmp",
  "interface",
  "sentPackets",
  "receivedPackets",
  "sentBytes",
  "receivedBytes",
  "earlierSentPackets",
  "earlierReceivedPackets",
  "earlierSentBytes",
  "earlierReceivedBytes",
  "cookie",
  "cookieTop",
  "application",
  "connect",
  "rtt",
  "minRtt",
  "retransmits",
  "dropReason",
  "requests",
  "requestErrors",
  "requestLatency",
  "translatedPorts",
  "translation",
  "rule",
] as const;

export type ColumnName = (typeof columnNames)[number];

/** Column name → its number. */
export const column: Readonly<Record<ColumnName, number>> = Object.fromEntries(
  columnNames.map((name, index) => [name, index]),
) as Record<ColumnName, number>;

const coldColumns = columnNames.flatMap((_, index) => (index > column.id ? [index] : []));

/**
 * Columns that are packed together. All but the last group are what filters and orders look at; each costs some 30 µs to
 * unpack, however little is in it, so that there are few: what hosts do, and what is still needed of a row that matches.
 */
export const columnGroups: readonly (readonly number[])[] = [
  [column.source, column.destination],
  [column.sourcePort, column.destinationPort, column.kind, column.protocol, column.drops],
  [
    column.start,
    column.end,
    column.id,
    column.sourceName,
    column.destinationName,
    column.serverName,
    column.process,
    column.peerProcess,
  ],
  coldColumns,
];

/** As blocks of before have them. */
export const olderColumnGroups: readonly (readonly number[])[] = [
  [column.source, column.destination],
  [column.sourcePort, column.destinationPort],
  [column.kind, column.protocol],
  [column.drops],
  [column.start, column.end],
  [column.sourceName, column.destinationName, column.serverName],
  [column.process, column.peerProcess],
  [column.id],
  coldColumns.filter((index) => index !== column.rule),
];

export type Columns = readonly Float64Array[];

/** Rows of a block in the making. */
export interface Rows {
  readonly columns: Columns;
  /** 1 for each column that ever held anything but 0: most hosts' flows leave half of them, and the memory, alone. */
  readonly used: Uint8Array;
  readonly capacity: number;
  count: number;
}

/** Doubles between columns: were they a power of two apart, a row would lie in few lines of the processor's cache. */
const PADDING = 24;

export function createRows(capacity: number): Rows {
  const stride = capacity + PADDING;
  const all = new ArrayBuffer(8 * stride * columnNames.length);
  const columns = columnNames.map((_, index) => new Float64Array(all, 8 * stride * index, capacity));
  return { columns, used: new Uint8Array(columns.length), capacity, count: 0 };
}

/** One value of a row. */
export function setValue({ columns, used }: Rows, index: number, row: number, value: number): void {
  if (used[index] === 0) {
    if (value === 0) return;
    used[index] = 1;
  }
  (columns[index] as Float64Array)[row] = value;
}

/** Words that are columns as they are. */
const plain: readonly (readonly [number, number])[] = [
  [column.kind, recordWord.kind],
  [column.netns, recordWord.netns],
  [column.protocol, recordWord.protocol],
  [column.icmp, recordWord.icmp],
  [column.application, recordWord.application],
  [column.connect, recordWord.connect],
  [column.rtt, recordWord.rtt],
  [column.minRtt, recordWord.minRtt],
  [column.retransmits, recordWord.retransmits],
  [column.drops, recordWord.drops],
  [column.requests, recordWord.requests],
  [column.requestErrors, recordWord.requestErrors],
  [column.requestLatency, recordWord.requestLatency],
  [column.translatedPorts, recordWord.translatedPorts],
];

const strings: readonly (readonly [number, number])[] = [
  [column.interface, recordWord.interfaceString],
  [column.sourceName, recordWord.sourceNameString],
  [column.destinationName, recordWord.destinationNameString],
  [column.serverName, recordWord.serverNameString],
  [column.dropReason, recordWord.dropReasonString],
  [column.rule, recordWord.ruleString],
];

const counters: readonly (readonly [number, number])[] = [
  [column.sentPackets, recordWord.sentPacketsF64],
  [column.receivedPackets, recordWord.receivedPacketsF64],
  [column.sentBytes, recordWord.sentBytesF64],
  [column.receivedBytes, recordWord.receivedBytesF64],
  [column.earlierSentPackets, recordWord.earlierF64],
  [column.earlierReceivedPackets, recordWord.earlierF64 + 2],
  [column.earlierSentBytes, recordWord.earlierF64 + 4],
  [column.earlierReceivedBytes, recordWord.earlierF64 + 6],
];

export const earlierColumns: readonly (readonly [earlier: number, counter: number])[] = [
  [column.earlierSentPackets, column.sentPackets],
  [column.earlierReceivedPackets, column.receivedPackets],
  [column.earlierSentBytes, column.sentBytes],
  [column.earlierReceivedBytes, column.receivedBytes],
];

/** Kind's bits, as in a record. */
export const ACTIVE = 0x100;

/** Puts record `index` of a batch at `row`. */
export function setRow(
  rows: Rows,
  row: number,
  reader: RecordReader,
  index: number,
  into: Dictionaries,
): void {
  const { words, doubles } = reader;
  const base = index * RECORD_WORDS;
  // By index and without a helper: a closure or an iterator here is a kilobyte of garbage a flow.
  for (let part = 0; part < plain.length; part++) {
    const pair = plain[part] as readonly [number, number];
    setValue(rows, pair[0], row, words[base + pair[1]] as number);
  }
  for (let part = 0; part < strings.length; part++) {
    const pair = strings[part] as readonly [number, number];
    setValue(rows, pair[0], row, into.string(words[base + pair[1]] as number));
  }
  for (let part = 0; part < counters.length; part++) {
    const pair = counters[part] as readonly [number, number];
    setValue(rows, pair[0], row, whole(doubles[(base + pair[1]) / 2] as number));
  }
  const ports = words[base + recordWord.ports] as number;
  const high = words[base + recordWord.cookie + 1] as number;
  setValue(rows, column.id, row, whole(doubles[(base + recordWord.idF64) / 2] as number));
  // What a flow shows is whole milliseconds.
  setValue(rows, column.start, row, whole(doubles[(base + recordWord.startF64) / 2] as number));
  setValue(rows, column.end, row, whole(doubles[(base + recordWord.endF64) / 2] as number));
  setValue(rows, column.sourcePort, row, ports & 0xffff);
  setValue(rows, column.destinationPort, row, ports >>> 16);
  setValue(rows, column.source, row, into.address(words, base + recordWord.source));
  setValue(rows, column.destination, row, into.address(words, base + recordWord.destination));
  setValue(
    rows,
    column.cookie,
    row,
    (high & COOKIE_HIGH) * 2 ** 32 + (words[base + recordWord.cookie] as number),
  );
  setValue(rows, column.cookieTop, row, high >>> COOKIE_HIGH_BITS);
  setValue(rows, column.process, row, into.process(words[base + recordWord.process] as number));
  setValue(rows, column.peerProcess, row, into.process(words[base + recordWord.peerProcess] as number));
  setValue(rows, column.translation, row, into.translation(words[base + recordWord.translation] as number));
}

/** Nothing that a column cannot hold: a clock before 1970 becomes 1970. */
function whole(value: number): number {
  return value >= 0 && value <= Number.MAX_SAFE_INTEGER ? Math.trunc(value) : 0;
}

/** What of a cookie's high word fits below 2^53. */
const COOKIE_HIGH_BITS = 21;
const COOKIE_HIGH = 2 ** COOKIE_HIGH_BITS - 1;

/** The inverse of `setRow`, but for the addresses, whose words are the caller's; indexes are left as they are. */
export function rowToRecord(
  value: (column: number) => number,
  words: Uint32Array,
  doubles: Float64Array,
  index: number,
): void {
  const base = index * RECORD_WORDS;
  for (const [at, word] of plain) words[base + word] = value(at);
  for (const [at, word] of strings) words[base + word] = value(at);
  for (const [at, word] of counters) doubles[(base + word) / 2] = value(at);
  doubles[(base + recordWord.idF64) / 2] = value(column.id);
  doubles[(base + recordWord.startF64) / 2] = value(column.start);
  doubles[(base + recordWord.endF64) / 2] = value(column.end);
  words[base + recordWord.ports] = value(column.sourcePort) | (value(column.destinationPort) << 16);
  const cookie = value(column.cookie);
  words[base + recordWord.cookie] = cookie % 2 ** 32;
  words[base + recordWord.cookie + 1] =
    Math.floor(cookie / 2 ** 32) | (value(column.cookieTop) << COOKIE_HIGH_BITS);
  words[base + recordWord.process] = value(column.process);
  words[base + recordWord.peerProcess] = value(column.peerProcess);
  words[base + recordWord.translation] = value(column.translation);
}

/** Copies a row, as it is, into other rows that share its dictionaries. */
export function copyRow(from: Rows, row: number, to: Rows, at: number): void {
  for (let index = 0; index < from.columns.length; index++)
    if (from.used[index] === 1 || to.used[index] === 1)
      setValue(to, index, at, (from.columns[index] as Float64Array)[row] as number);
}
