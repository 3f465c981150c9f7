/**
 * The policy in force, as the kernel sees it: one table a generation, and a choice of which holds. A new table is
 * filled aside, then the choice is turned with one store: no packet meets half a policy. A choice with a deadline
 * falls back to the generation before by itself, whether this process lives or not.
 */

import { policyChoiceLayout, policyStateLayout } from "../../generated/layout.ts";
import { attributes, command, mapAccess } from "../../kernel/bpf.ts";
import { kernelError, type Libc, type Memory } from "../../kernel/libc.ts";
import type { EncodedTables } from "../compile/encode.ts";
import { STATE_BYTES } from "../names/automaton.ts";

const MAP_TYPE_ARRAY = 2;
const MAP_TYPE_LPM_TRIE = 11;
const NO_PREALLOC = 1;
/** Others of its kind may have another number of entries. */
const INNER_MAP = 1 << 12;
const KEY_BYTES = 24;
const VALUE_BYTES = 8;
const SLOTS = 4;
const PAGE = 4096;

/** The choice that holds, or will hold again. */
export interface InForce {
  /** 0: no policy. */
  readonly generation: number;
  /** Until it is confirmed; undefined once it is. */
  readonly unconfirmed: { readonly previous: number; readonly leftMs: number } | undefined;
}

export interface Generations {
  /**
   * Puts tables in force.
   *
   * @param tables none to end all policy.
   * @param confirmWithinMs falls back to what holds now unless `confirm` comes in time.
   * @returns the new generation.
   * @throws X0_FLOWS_KERNEL_CALL; what was in force stays then.
   */
  swap(tables: EncodedTables | undefined, confirmWithinMs?: number, judgeLoopback?: boolean): number;
  /** @returns false where nothing waits for it, or the deadline has passed. */
  confirm(): boolean;
  /** Goes back now to what a confirmation is waited for. @returns false where none is. */
  revert(): boolean;
  inForce(): InForce;
  close(): void;
}

export interface GenerationMaps {
  readonly policy: number;
  readonly generations: number;
  readonly automata: number;
}

/** @param bootMs milliseconds of CLOCK_BOOTTIME. */
export function openGenerations(libc: Libc, maps: GenerationMaps, bootMs: () => number): Generations {
  const memory = libc.map(maps.policy, PAGE, 0, true);
  const words = new Int32Array(memory.bytes.buffer, 0, policyStateLayout.size / 4);
  const deadlines = memory.view;
  const current = (): number => choiceAt(Atomics.load(words, policyStateLayout.current / 4) & 1);

  const read = (): { generation: number; previous: number; deadlineMs: number } => {
    const at = current();
    return {
      generation: deadlines.getUint32(at + policyChoiceLayout.generation, true),
      previous: deadlines.getUint32(at + policyChoiceLayout.previous, true),
      deadlineMs: Number(deadlines.getBigUint64(at + policyChoiceLayout.deadlineNs, true)) / 1e6,
    };
  };
  const turn = (generation: number, previous: number, deadlineMs: number): void => {
    const next = 1 - (Atomics.load(words, policyStateLayout.current / 4) & 1);
    const at = choiceAt(next);
    deadlines.setUint32(at + policyChoiceLayout.generation, generation, true);
    deadlines.setUint32(at + policyChoiceLayout.previous, previous, true);
    deadlines.setBigUint64(at + policyChoiceLayout.deadlineNs, BigInt(Math.round(deadlineMs * 1e6)), true);
    Atomics.store(words, policyStateLayout.current / 4, next);
  };
  const put = (outer: number, slot: number, inner: number): void => {
    try {
      setSlot(libc, outer, slot, inner);
    } finally {
      libc.close(inner);
    }
  };
  const isOver = (deadlineMs: number): boolean => deadlineMs > 0 && bootMs() >= deadlineMs;
  /** What holds now, a passed deadline taken into account. */
  const holding = (): number => {
    const { generation, previous, deadlineMs } = read();
    return isOver(deadlineMs) ? previous : generation;
  };
  /** Each slot that is emptied waits for the kernel's readers, so tables stay until their slot is needed again. */
  const releaseAll = (): void => {
    for (let slot = 0; slot < SLOTS; slot++) {
      setSlot(libc, maps.generations, slot, -1);
      if (isFilled(libc, maps.automata, slot)) setSlot(libc, maps.automata, slot, -1);
    }
  };
  let latest = Math.max(read().generation, read().previous);

  return {
    swap(tables, confirmWithinMs, judgeLoopback = false) {
      const previous = holding();
      let generation = 0;
      if (tables !== undefined) {
        const used = new Set([previous & (SLOTS - 1), read().generation & (SLOTS - 1)]);
        // Slot 0 would make a generation that reads as none only at number 0, which is never given out.
        const slot = [1, 2, 3].find((candidate) => !used.has(candidate)) as number;
        put(maps.generations, slot, makeTable(libc, tables));
        if (tables.automaton.length > 0) put(maps.automata, slot, makeAutomaton(libc, tables.automaton));
        else if (isFilled(libc, maps.automata, slot)) setSlot(libc, maps.automata, slot, -1);
        generation = (((latest >>> 2) + 1) << 2) | slot;
        latest = generation;
        const at = policyStateLayout.loopback / 4;
        if (judgeLoopback) Atomics.or(words, at, 1 << slot);
        else Atomics.and(words, at, ~(1 << slot));
      }
      turn(generation, previous, confirmWithinMs === undefined ? 0 : bootMs() + confirmWithinMs);
      if (generation === 0 && confirmWithinMs === undefined) releaseAll();
      return generation;
    },
    confirm() {
      const { generation, deadlineMs } = read();
      if (deadlineMs === 0 || isOver(deadlineMs)) return false;
      turn(generation, 0, 0);
      return true;
    },
    revert() {
      const { generation, previous, deadlineMs } = read();
      if (deadlineMs === 0) return false;
      // Its number is not given again: connections are remembered by it.
      turn(previous, generation, 0);
      return true;
    },
    inForce() {
      const { generation, previous, deadlineMs } = read();
      if (deadlineMs === 0) return { generation, unconfirmed: undefined };
      const leftMs = deadlineMs - bootMs();
      return leftMs > 0
        ? { generation, unconfirmed: { previous, leftMs } }
        : { generation: previous, unconfirmed: undefined };
    },
    close: memory.free,
  };
}

function choiceAt(index: number): number {
  return policyStateLayout.choices + index * policyChoiceLayout.size;
}

/** Emptying one that is empty would wait for the kernel's readers too. */
function isFilled(libc: Libc, outer: number, slot: number): boolean {
  const key = libc.allocate(4);
  const value = libc.allocate(4);
  try {
    key.view.setUint32(0, slot, true);
    return mapAccess(libc).lookup(outer, key, value) === 0;
  } finally {
    key.free();
    value.free();
  }
}

/** @param table -1 empties the slot. */
function setSlot(libc: Libc, outer: number, slot: number, table: number): void {
  const key = libc.allocate(4);
  const value = libc.allocate(4);
  try {
    key.view.setUint32(0, slot, true);
    value.view.setInt32(0, table, true);
    const { bytes, view } = attributes(32);
    view.setUint32(0, outer, true);
    view.setBigUint64(8, key.address, true);
    if (table >= 0) view.setBigUint64(16, value.address, true);
    const result = libc.bpf(table >= 0 ? command.mapUpdate : command.mapDelete, bytes);
    const isGone = table < 0 && result === -2;
    if (result < 0 && !isGone) throw kernelError("putting a policy's table in its slot", result);
  } finally {
    key.free();
    value.free();
  }
}

function makeTable(libc: Libc, { keys, values, count }: EncodedTables): number {
  return makeFilled(libc, {
    shape: [MAP_TYPE_LPM_TRIE, KEY_BYTES, VALUE_BYTES, Math.max(1, count), NO_PREALLOC],
    name: "policy_table",
    content: [keys, values],
    count,
  });
}

/** A state's number is its key. */
function makeAutomaton(libc: Libc, automaton: Uint8Array): number {
  const count = automaton.length / STATE_BYTES;
  const keys = new Uint8Array(Uint32Array.from({ length: count }, (_, index) => index).buffer);
  return makeFilled(libc, {
    shape: [MAP_TYPE_ARRAY, 4, STATE_BYTES, count, INNER_MAP],
    name: "name_automaton",
    content: [keys, automaton],
    count,
  });
}

interface Filled {
  /** Type, bytes of a key and of a value, entries, flags. */
  readonly shape: readonly number[];
  readonly name: string;
  /** Keys, values. */
  readonly content: readonly [Uint8Array, Uint8Array];
  readonly count: number;
}

/** @returns a descriptor. @throws X0_FLOWS_KERNEL_CALL */
function makeFilled(libc: Libc, { shape, name, content, count }: Filled): number {
  const { bytes, view } = attributes(72);
  for (const [index, number] of shape.entries()) view.setUint32(index * 4, number, true);
  bytes.set(new TextEncoder().encode(name), 28);
  const map = libc.bpf(command.mapCreate, bytes);
  if (map < 0) throw kernelError("making a policy's table", map);
  const buffers: Memory[] = [];
  try {
    for (const part of content) {
      const memory = libc.allocate(part.length);
      buffers.push(memory);
      memory.bytes.set(part);
    }
    fill(libc, map, buffers[0] as Memory, buffers[1] as Memory, count);
    return map;
  } catch (error) {
    libc.close(map);
    throw error;
  } finally {
    for (const memory of buffers) memory.free();
  }
}

function fill(libc: Libc, table: number, keys: Memory, values: Memory, count: number): void {
  if (count === 0) return;
  const { bytes, view } = attributes(56);
  view.setBigUint64(16, keys.address, true);
  view.setBigUint64(24, values.address, true);
  view.setUint32(32, count, true);
  view.setUint32(36, table, true);
  const result = libc.bpf(command.updateBatch, bytes);
  if (result < 0) throw kernelError("filling a policy's table", result);
}
