/**
 * Reads a BPF ring buffer through its mapped pages: no system call and no allocation an event.
 * Layout and ordering: kernel/bpf/ringbuf.c, Documentation/bpf/ringbuf.rst. The kernel offers the data pages twice
 * in a row, so that a record never wraps; we map them once, which is half the resident memory, and put the rare
 * record across the end together in a scratch buffer.
 */
import type { Libc } from "./libc.ts";

const PAGE = 4096;
const BUSY = 1 << 31;
const DISCARDED = 1 << 30;
const RECORD_HEADER = 8;

export interface Ring {
  /**
   * Consumes what is there, at most `limit` records.
   *
   * @param visit gets the mapped words and the index at which the record begins; they are the kernel's again
   * once it returns.
   */
  drain(visit: (words: Uint32Array, at: number) => void, limit?: number, until?: number): number;
  /** How far the kernel has come: pass it as `until` to leave what comes later for the next time. */
  produced(): number;
  close(): void;
}

/** @param sizeBytes of the map: a power of two. @throws X0_FLOWS_KERNEL_CALL */
export function openRing(libc: Libc, fd: number, sizeBytes: number): Ring {
  const consumer = libc.map(fd, PAGE, 0, true);
  const producer = libc.map(fd, PAGE + sizeBytes, PAGE, false);
  const consumed = new BigUint64Array(consumer.bytes.buffer, 0, 1);
  // Positions only ever grow and the ring is below 4 GiB, so the low halves tell the distance.
  const produced = new Int32Array(producer.bytes.buffer, 0, 1);
  const words = new Uint32Array(producer.bytes.buffer, PAGE);
  const headers = new Int32Array(producer.bytes.buffer, PAGE);
  const mask = sizeBytes - 1;
  let scratch = new Uint32Array(64);
  return {
    produced: () => Atomics.load(produced, 0),
    drain(visit, limit = Number.POSITIVE_INFINITY, until = Atomics.load(produced, 0)) {
      const start = Atomics.load(consumed, 0);
      const low = Number(start & 0xffff_ffffn);
      const available = (until - low) >>> 0;
      let done = 0;
      let count = 0;
      while (done < available && count < limit) {
        const at = ((low + done) & mask) >>> 2;
        const header = Atomics.load(headers, at);
        if (header & BUSY) break;
        const length = header & ~(BUSY | DISCARDED);
        if (!(header & DISCARDED)) {
          const begin = at + RECORD_HEADER / 4;
          const behind = begin + length / 4 - words.length;
          if (behind <= 0) visit(words, begin);
          else {
            if (scratch.length < length / 4) scratch = new Uint32Array(length / 4);
            scratch.set(words.subarray(begin));
            scratch.set(words.subarray(0, behind), length / 4 - behind);
            visit(scratch, 0);
          }
          count++;
        }
        done += (length + RECORD_HEADER + 7) & ~7;
      }
      if (done > 0) Atomics.store(consumed, 0, start + BigInt(done));
      return count;
    },
    close() {
      consumer.free();
      producer.free();
    },
  };
}
