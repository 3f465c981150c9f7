/**
 * What waits for a collector, on disk: it outlives the process that was killed, and the memory that it would need.
 *
 * A process has a folder of its own, named by its number and its start, in the spool's folder. Records are appended
 * to segments; beside each lies the list of its records that were delivered. A segment whose records are all
 * delivered is removed. Who opens a spool adopts the folders of processes that have ended: a rename, which one of
 * several wins. Nothing is synced: a killed process loses nothing that was appended, a power cut what the kernel had
 * not yet written. A record that was cut off, or that the disk changed, is counted and left out.
 */
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";

/** Little-endian: a mark, the payload's bytes, its spans, its checksum. */
const HEADER_BYTES = 16;
const MARK = 0x7053_3058;
const SEGMENT_BYTES = 4 * 2 ** 20;
/** No request is larger: what a header says beyond it, the disk made up. */
const LARGEST_RECORD = 256 * 2 ** 20;

export interface SpoolEntry {
  readonly records: number;
  readonly bytes: number;
}

export interface Spool extends Disposable {
  /**
   * Appends a record; the oldest segments give way where there is no room.
   * @throws what the disk says
   */
  append(payload: Uint8Array, records: number): SpoolEntry;
  /** @returns undefined if it was dropped, or is not what was written */
  read(entry: SpoolEntry): Buffer | undefined;
  /** It need not be kept any longer. */
  done(entry: SpoolEntry): void;
  /** Entries that processes before this one left, the oldest first. */
  readonly left: readonly SpoolEntry[];
  /** Records that gave way to newer ones. */
  readonly dropped: number;
  /** Records that are on disk no longer as they were written; those of a torn header are not known. */
  readonly damaged: number;
  readonly sizeBytes: number;
}

interface Segment {
  readonly path: string;
  readonly descriptor: number;
  readonly acknowledged: number;
  readonly entries: Set<Entry>;
  size: number;
  count: number;
}

interface Entry extends SpoolEntry {
  readonly segment: Segment;
  readonly number: number;
  readonly at: number;
  readonly checksum: number;
}

/**
 * @param folder made if it is missing, for the owner alone
 * @throws what the disk says
 */
export function openSpool(folder: string, maxBytes: number, segmentBytes = SEGMENT_BYTES): Spool {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const own = join(folder, ownName());
  mkdirSync(own, { recursive: true, mode: 0o700 });
  /** The oldest first. */
  const segments: Segment[] = [];
  let opened = 0;
  let dropped = 0;
  let damaged = 0;

  const open = (path: string): Segment => {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND;
    const [descriptor, acknowledged] = [path, `${path}.done`].map((one) => openSync(one, flags, 0o600));
    const segment = { path, descriptor, acknowledged, entries: new Set<Entry>(), size: 0, count: 0 };
    segments.push(segment as Segment);
    return segment as Segment;
  };
  const remove = (segment: Segment): void => {
    segments.splice(segments.indexOf(segment), 1);
    closeSync(segment.descriptor);
    closeSync(segment.acknowledged);
    for (const path of [segment.path, `${segment.path}.done`]) rmSync(path, { force: true });
  };
  const sizeBytes = (): number => segments.reduce((sum, { size }) => sum + size, 0);
  const makeRoom = (more: number): void => {
    while (segments.length > 0 && sizeBytes() + more > maxBytes) {
      const oldest = segments[0] as Segment;
      for (const { records } of oldest.entries) dropped += records;
      oldest.entries.clear();
      remove(oldest);
    }
  };
  /** Enters what a segment of before has; @returns the records that nobody can read. */
  const recover = (segment: Segment): number => {
    const delivered = new Set(wordsOf(readFileSync(`${segment.path}.done`)));
    const { size } = fstatSync(segment.descriptor);
    let lost = 0;
    while (segment.size + HEADER_BYTES <= size) {
      const header = Buffer.alloc(HEADER_BYTES);
      readSync(segment.descriptor, header, 0, HEADER_BYTES, segment.size);
      const [mark = 0, bytes = 0, records = 0, checksum = 0] = wordsOf(header);
      if (mark !== MARK || bytes > LARGEST_RECORD) break;
      const at = segment.size + HEADER_BYTES;
      const number = segment.count++;
      segment.size = at + bytes;
      if (segment.size > size) lost += records;
      else if (!delivered.has(number)) segment.entries.add({ segment, number, at, bytes, records, checksum });
    }
    return lost;
  };
  const nextPath = (): string => join(own, `${String(opened++).padStart(8, "0")}.spool`);
  for (const found of adopt(folder, own)) {
    const path = nextPath();
    renameSync(`${found}.done`, `${path}.done`);
    renameSync(found, path);
    const segment = open(path);
    damaged += recover(segment);
    if (segment.entries.size === 0) remove(segment);
  }
  for (const { name } of readdirSync(own, { withFileTypes: true }).filter((one) => one.isDirectory()))
    rmSync(join(own, name), { recursive: true });
  const left = segments.flatMap(({ entries }) => [...entries]);
  makeRoom(0);
  let current: Segment | undefined;

  return {
    left: left.filter((entry) => entry.segment.entries.has(entry)),
    get dropped() {
      return dropped;
    },
    get damaged() {
      return damaged;
    },
    get sizeBytes() {
      return sizeBytes();
    },
    append(payload, records) {
      makeRoom(HEADER_BYTES + payload.length);
      if (current === undefined || !segments.includes(current) || current.size >= segmentBytes)
        current = open(nextPath());
      const checksum = crc32(payload);
      const header = Buffer.alloc(HEADER_BYTES);
      for (const [index, word] of [MARK, payload.length, records, checksum].entries())
        header.writeUInt32LE(word, 4 * index);
      writeWhole(current.descriptor, Buffer.concat([header, payload]));
      const at = current.size + HEADER_BYTES;
      const entry = {
        segment: current,
        number: current.count++,
        at,
        bytes: payload.length,
        records,
        checksum,
      };
      current.size = at + payload.length;
      current.entries.add(entry);
      return entry;
    },
    read(given) {
      const { segment, at, bytes, records, checksum } = given as Entry;
      if (!segment.entries.has(given as Entry)) return undefined;
      const payload = Buffer.allocUnsafeSlow(bytes);
      const got = readSync(segment.descriptor, payload, 0, bytes, at);
      if (got === bytes && crc32(payload) === checksum) return payload;
      damaged += records;
      return undefined;
    },
    done(given) {
      const { segment, number } = given as Entry;
      if (!segment.entries.delete(given as Entry)) return;
      const word = Buffer.alloc(4);
      word.writeUInt32LE(number);
      writeWhole(segment.acknowledged, word);
      if (segment.entries.size === 0 && segment !== current) remove(segment);
    },
    [Symbol.dispose]() {
      const isEmpty = segments.every(({ entries }) => entries.size === 0);
      for (const segment of [...segments])
        if (isEmpty) remove(segment);
        else for (const descriptor of [segment.descriptor, segment.acknowledged]) closeSync(descriptor);
      if (isEmpty) rmSync(own, { recursive: true, force: true });
    },
  };
}

/** A process's number is used again; with its start, in clock ticks since boot, and the boot, it is one process. */
function ownName(): string {
  return `${process.pid}-${startOf(process.pid)}-${bootOf()}`;
}

function bootOf(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").slice(0, 8);
}

/** Field 22 of /proc/PID/stat, behind a name that may hold anything; undefined if there is no such process. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

/** Moves the folders of ended processes into `own`. @returns their segments, the oldest first */
function adopt(folder: string, own: string): string[] {
  for (const name of readdirSync(folder)) {
    const [, pid, start, boot] = /^(\d+)-(\d+)-([0-9a-f]{8})$/.exec(name) ?? [];
    if (pid === undefined || join(folder, name) === own) continue;
    if (boot === bootOf() && startOf(Number(pid)) === start) continue;
    try {
      renameSync(join(folder, name), join(own, name));
    } catch {
      // Another process has adopted it.
    }
  }
  return segmentsBelow(own);
}

/** Also of folders that were adopted by a process which was killed meanwhile. */
function segmentsBelow(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  const inner = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name));
  const own = entries.filter(({ name }) => name.endsWith(".spool")).map(({ name }) => join(folder, name));
  return [...inner.flatMap(segmentsBelow), ...own];
}

function writeWhole(descriptor: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
}

function wordsOf(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length >> 2 }, (_, index) => bytes.readUInt32LE(4 * index));
}
