/**
 * Port scans, sweeps and floods, found from the openings of flows. Memory never grows (3 MiB): the pairs and services
 * seen last are watched, so that forged sources cost those that were quiet longest their place.
 *
 * Distinct ports and hosts are estimated by linear counting (Whang, Vander-Zanden and Taylor, "A linear-time
 * probabilistic counting algorithm", ACM TODS 15, 1990): n hashed values leave a share of about e^(-n/m) of m bits
 * clear. With m = 4096 the standard error is 1.1 % for 100 values and 1.6 % for 5,000; all 4096 are set at about
 * 34,000, which is the greatest count told.
 */
import { createWatch, SUBJECT_WORDS, type Watched, watchLimits } from "./watch.ts";

export interface ScanFinding {
  readonly scan: "ports" | "hosts" | "flood";
  /** Distinct ports or hosts in `seconds`; of a flood, the most openings in one second. */
  readonly count: number;
  readonly seconds: number;
  /** 16 bytes each, of the latest flow that belongs to it; so are port, protocol and id. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly destinationPort: number;
  readonly protocol: number;
  readonly flowId: number;
}

export interface ScanDetector {
  /**
   * A flow that begins. Findings are told during the call.
   *
   * @param words addresses of four words (16 bytes) each, at `source` and `destination`; @param destinationPort 0 for
   *   protocols without ports; @param isOpening whether the source is known to have opened it: not so for what was
   *   under way before, whose direction is a guess.
   */
  flow(
    words: Uint32Array,
    source: number,
    destination: number,
    destinationPort: number,
    protocol: number,
    timeMs: number,
    isOpening: boolean,
    flowId: number,
  ): void;
  /** Tells the last count of scans that have stopped. To be called about once a second. */
  expire(nowMs: number): void;
}

const SKETCH_BITS = 4096;
const SKETCH_WORDS = SKETCH_BITS / 32;
const SECOND_MS = 1000;

export function createScanDetector(options: {
  readonly scanThreshold: number;
  readonly floodThreshold: number;
  /** Of the hashes: any number that strangers do not know. */
  readonly seed: number;
  readonly onFinding: (finding: ScanFinding) => void;
}): ScanDetector {
  const { scanThreshold, floodThreshold, seed, onFinding } = options;
  const ports = createSpread(8, seed, scanThreshold, (watched) =>
    onFinding(finding("ports", watched, estimate(watched.count), watched.milliseconds)),
  );
  const hosts = createSpread(5, seed ^ 0x5bd1e995, scanThreshold, (watched) =>
    onFinding(finding("hosts", watched, estimate(watched.count), watched.milliseconds)),
  );
  const floods = createRates(seed ^ 0x1b873593, floodThreshold, (watched) =>
    onFinding(finding("flood", watched, watched.count, SECOND_MS)),
  );
  const subject = new Uint32Array(SUBJECT_WORDS);

  return {
    flow(words, source, destination, destinationPort, protocol, timeMs, isOpening, flowId) {
      if (!isOpening) return;
      const service = (protocol << 16) | destinationPort;
      subject[0] = service;
      subject[9] = service;
      for (let index = 0; index < 4; index++) {
        subject[1 + index] = words[source + index] as number;
        subject[5 + index] = words[destination + index] as number;
      }
      if (destinationPort !== 0) ports.note(subject, 1, mix(seed, service), timeMs, flowId);
      let host = seed;
      for (let index = 5; index < 9; index++) host = mix(host, subject[index] as number);
      hosts.note(subject, 0, host, timeMs, flowId);
      floods.note(subject, timeMs, flowId);
    },
    expire(nowMs) {
      ports.expire(nowMs);
      hosts.expire(nowMs);
      floods.expire(nowMs);
    },
  };
}

/** How many distinct values a key has. */
function createSpread(
  keyWords: number,
  seed: number,
  threshold: number,
  onFinding: (watched: Watched) => void,
) {
  const sketches = new Uint32Array(watchLimits.keys * SKETCH_WORDS);
  const firstWord = new Uint32Array(watchLimits.keys);
  const watch = createWatch({
    keyWords,
    seed,
    threshold: bitsFor(threshold),
    onClear(slot) {
      // Forged sources come once: that one word is all there is to clear.
      if (watch.count(slot) === 1) sketches[firstWord[slot] as number] = 0;
      else sketches.fill(0, slot * SKETCH_WORDS, (slot + 1) * SKETCH_WORDS);
    },
    onFinding,
  });
  return {
    note(subject: Uint32Array, at: number, value: number, timeMs: number, flowId: number): void {
      const slot = watch.enter(subject, at, timeMs, flowId);
      const bit = value & (SKETCH_BITS - 1);
      const word = slot * SKETCH_WORDS + (bit >>> 5);
      const before = sketches[word] as number;
      if ((before & (1 << (bit & 31))) !== 0) return;
      sketches[word] = before | (1 << (bit & 31));
      const count = watch.count(slot);
      if (count === 0) firstWord[slot] = word;
      watch.raise(slot, count + 1);
    },
    expire: watch.expire,
  };
}

/** The most openings of a service in one second. */
function createRates(seed: number, threshold: number, onFinding: (watched: Watched) => void) {
  const seconds = new Float64Array(watchLimits.keys);
  const openings = new Uint32Array(watchLimits.keys);
  const watch = createWatch({
    keyWords: 5,
    seed,
    threshold,
    onClear(slot) {
      openings[slot] = 0;
    },
    onFinding,
  });
  return {
    note(subject: Uint32Array, timeMs: number, flowId: number): void {
      const slot = watch.enter(subject, 5, timeMs, flowId);
      const second = Math.floor(timeMs / SECOND_MS);
      if (seconds[slot] !== second) {
        seconds[slot] = second;
        openings[slot] = 0;
      }
      const count = (openings[slot] as number) + 1;
      openings[slot] = count;
      if (count > watch.count(slot)) watch.raise(slot, count);
    },
    expire: watch.expire,
  };
}

function finding(
  scan: ScanFinding["scan"],
  watched: Watched,
  count: number,
  milliseconds: number,
): ScanFinding {
  const { subjects, at, flowId } = watched;
  const bytes = new Uint8Array(subjects.buffer, at * 4, SUBJECT_WORDS * 4).slice();
  const service = subjects[at] as number;
  return {
    scan,
    count,
    seconds: milliseconds / 1000,
    source: bytes.subarray(4, 20),
    destination: bytes.subarray(20, 36),
    destinationPort: service & 0xffff,
    protocol: service >>> 16,
    flowId,
  };
}

/** Distinct values that set so many of the bits. */
function estimate(bits: number): number {
  const clear = Math.max(1, SKETCH_BITS - bits);
  return Math.round(SKETCH_BITS * Math.log(SKETCH_BITS / clear));
}

/** The fewest bits that so many values set, on average. */
function bitsFor(values: number): number {
  return Math.min(SKETCH_BITS, Math.ceil(SKETCH_BITS * (1 - Math.exp(-(values - 0.5) / SKETCH_BITS))));
}

function mix(hash: number, word: number): number {
  let mixed = Math.imul(hash ^ word, 0xcc9e2d51);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0x85ebca6b);
  return mixed ^ (mixed >>> 13);
}
