/**
 * Sums beside the blocks, so that a summary of a day need not look at each row: for each stretch of some dozens of
 * blocks, and when a file is complete, for as much of it as one sum can hold. They hold every key and are exact; a
 * stretch ends early where keys are many, so that they stay bounded. Blocks without are looked at row by row.
 */
import { packTallies, unpackTallies } from "../summary/packed-tallies.ts";
import { addTallies, createTallies, type Tallies, talliesOf } from "../summary/tallies.ts";
import type { Block } from "./block.ts";
import type { Partition, Store, StoreWriter } from "./store.ts";

/** Two minutes of a busy host. */
export const MOST_BLOCKS = 64;
/** Of each list, when a stretch ends: about 3 MB each. One block adds at most twice its rows. */
const MOST_KEYS = 16_384;
/** Of all stretches of a file as one. */
const MOST_KEYS_OF_FILE = 65_536;

export interface Stretch {
  /** Of the sums, in their file. */
  readonly id: number;
  /** Whose rows they are of. */
  readonly blocks: readonly number[];
}

export interface Stretches {
  /** A block that is written for good. */
  add(number: number, block: Block): void;
  /** Writes what is complete; call `written` once it is so. */
  write(writer: StoreWriter): { written(): void };
  /** Writes all that there is for the newest file, which takes no more blocks. @throws what the store throws */
  endFile(): void;
  /** The file that has the blocks takes no more: they have no sums then. */
  leaveFile(): void;
}

interface Open {
  readonly blocks: number[];
  readonly tallies: Tallies;
}

export function createStretches(store: Store, mostBlocks: number): Stretches {
  let current: Open = { blocks: [], tallies: createTallies() };
  let complete: Open[] = [];

  const end = (): void => {
    if (current.blocks.length > 0) complete.push(current);
    current = { blocks: [], tallies: createTallies() };
  };
  const put = (writer: StoreWriter, { blocks, tallies }: Open): void =>
    writer.putSums(blocks, packTallies(tallies));
  const write = (writer: StoreWriter): { written(): void } => {
    for (const each of complete) put(writer, each);
    return {
      written() {
        complete = [];
      },
    };
  };
  return {
    add(number, block) {
      addTallies(current.tallies, talliesOf(block, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY));
      current.blocks.push(number);
      if (current.blocks.length >= mostBlocks || keysOf(current.tallies) >= MOST_KEYS) end();
    },
    write,
    endFile() {
      end();
      const partition = store.partitions.at(-1);
      if (partition === undefined) return;
      let done = { written(): void {} };
      if (complete.length > 0)
        store.write((writer) => {
          done = write(writer);
        });
      done.written();
      const wholes = joined(store, partition);
      if (wholes.length > 0)
        store.write((writer) => {
          for (const each of wholes) put(writer, each);
        });
    },
    leaveFile() {
      current = { blocks: [], tallies: createTallies() };
      complete = [];
    },
  };
}

/** The sums of a stretch; undefined where they are damaged or gone. */
export function readTallies(store: Store, partition: Partition, { id }: Stretch): Tallies | undefined {
  try {
    const packed = store.file(partition)?.sums(id);
    return packed === undefined ? undefined : unpackTallies(packed);
  } catch {
    // Its rows are there all the same.
    return undefined;
  }
}

/** The stretches of a file as few as hold them. */
function joined(store: Store, partition: Partition): Open[] {
  const wholes: Open[] = [];
  let members = 0;
  let current: Open = { blocks: [], tallies: createTallies() };
  const end = (): void => {
    if (members > 1) wholes.push(current);
    members = 0;
    current = { blocks: [], tallies: createTallies() };
  };
  for (const stretch of partition.stretches) {
    const tallies = readTallies(store, partition, stretch);
    if (tallies === undefined) continue;
    if (keysOf(current.tallies) + keysOf(tallies) > 2 * MOST_KEYS_OF_FILE) end();
    addTallies(current.tallies, tallies);
    current.blocks.push(...stretch.blocks);
    members++;
    if (keysOf(current.tallies) > MOST_KEYS_OF_FILE) end();
  }
  end();
  return wholes;
}

/** Of the longest list. */
function keysOf({ talkers, services, processes, destinations }: Tallies): number {
  return Math.max(talkers.size, services.size, processes.size, destinations.size);
}
