/**
 * Counts by key in windows of a minute, in memory that never grows: the keys seen last are watched. A count that
 * reaches the threshold is told at once; while it goes on, it is told again at the end of each window.
 */
import { createKeyedLru } from "./keyed-lru.ts";

export const watchLimits = {
  /** Keys watched; with a sketch each has 0.6 KiB. */
  keys: 2048,
  /** Counting starts anew after so long; a finding is told again no sooner. */
  windowMs: 60_000,
} as const;

/** Words of a subject, which hold the keys of all watches: service, source, destination, service again. */
export const SUBJECT_WORDS = 10;

export interface Watch {
  /** @returns the slot of the key within the subject, whose window has begun. */
  enter(subject: Uint32Array, at: number, timeMs: number, flowId: number): number;
  /** Tells if this is the first time in the window that the count is at the threshold. */
  raise(slot: number, count: number): void;
  count(slot: number): number;
  /** Ends the windows that are over: of what has stopped, the last count is told. */
  expire(nowMs: number): void;
}

export interface Watched {
  readonly count: number;
  readonly milliseconds: number;
  /** Of the latest flow: where in `subjects` its words begin, and its id. */
  readonly at: number;
  readonly subjects: Uint32Array;
  readonly flowId: number;
}

export function createWatch(options: {
  /** Where in a subject the key lies, and how long it is. */
  readonly keyWords: number;
  readonly seed: number;
  readonly threshold: number;
  /** A slot is to count from 0 again; it still has its old count. */
  readonly onClear: (slot: number) => void;
  readonly onFinding: (watched: Watched) => void;
}): Watch {
  const { keyWords, seed, threshold, onClear, onFinding } = options;
  const { keys: capacity, windowMs } = watchLimits;
  const index = createKeyedLru({ capacity, keyWords, seed });
  const began = new Float64Array(capacity);
  const latest = new Float64Array(capacity);
  const ends = new Float64Array(capacity).fill(Number.POSITIVE_INFINITY);
  const counts = new Uint32Array(capacity);
  // Of a window in which it was told, what was told, at least 1; else 0.
  const told = new Uint32Array(capacity);
  const subjects = new Uint32Array(capacity * SUBJECT_WORDS);
  const flowIds = new Float64Array(capacity);

  const tell = (slot: number): void => {
    told[slot] = Math.max(1, counts[slot] as number);
    const milliseconds = (latest[slot] as number) - (began[slot] as number);
    const at = slot * SUBJECT_WORDS;
    onFinding({ count: told[slot] as number, milliseconds, at, subjects, flowId: flowIds[slot] as number });
  };

  const begin = (slot: number, timeMs: number): void => {
    began[slot] = timeMs;
    ends[slot] = timeMs + windowMs;
    onClear(slot);
    counts[slot] = 0;
  };

  /** What was told is told again if there is more to it; the new window then waits for its end. */
  const roll = (slot: number, timeMs: number): void => {
    const goesOn = told[slot] !== 0 && (counts[slot] as number) > (told[slot] as number);
    if (goesOn) tell(slot);
    begin(slot, timeMs);
    // 1: the count of the new window is above it at its end, if it reaches the threshold at all.
    told[slot] = goesOn ? threshold - 1 : 0;
  };

  return {
    enter(subject, at, timeMs, flowId) {
      const claimed = index.claim(subject, at);
      const slot = claimed < 0 ? ~claimed : claimed;
      if (claimed < 0) {
        told[slot] = 0;
        begin(slot, timeMs);
      } else if (timeMs >= (ends[slot] as number)) roll(slot, timeMs);
      latest[slot] = timeMs;
      flowIds[slot] = flowId;
      for (let index = 0, to = slot * SUBJECT_WORDS; index < SUBJECT_WORDS; index++)
        subjects[to + index] = subject[index] as number;
      return slot;
    },
    raise(slot, count) {
      counts[slot] = count;
      if (count < threshold || told[slot] !== 0) return;
      tell(slot);
      ends[slot] = (latest[slot] as number) + windowMs;
    },
    count: (slot) => counts[slot] as number,
    expire(nowMs) {
      for (let slot = 0; slot < capacity; slot++)
        if (told[slot] !== 0 && nowMs >= (ends[slot] as number)) roll(slot, nowMs);
    },
  };
}
