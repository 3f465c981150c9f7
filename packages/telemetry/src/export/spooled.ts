/** Chunks that wait on disk: a destination reads them when their turn comes. */
import type { Chunk, Destination } from "./delivery.ts";
import type { Spool, SpoolEntry } from "./spool.ts";

export interface SpooledChunk extends Chunk {
  /** Where its bytes are; without it they are in memory, as the disk took none. */
  readonly entry?: SpoolEntry;
}

const NOTHING = new Uint8Array();

/** A chunk of what lies in the spool already. */
export function chunkOf(entry: SpoolEntry): SpooledChunk {
  return { bytes: NOTHING, records: entry.records, entry };
}

/** Appends to the spool; where the disk refuses, memory must do. */
export function spooledChunk(spool: Spool, bytes: Uint8Array, records: number): SpooledChunk {
  try {
    return chunkOf(spool.append(bytes, records));
  } catch {
    return { bytes, records };
  }
}

export function spooledDestination(to: Destination<Chunk>, spool: Spool): Destination<SpooledChunk> {
  return {
    async deliver(chunk, signal) {
      const { entry, records } = chunk;
      if (entry === undefined) return to.deliver(chunk, signal);
      const bytes = spool.read(entry);
      if (bytes === undefined)
        return { kind: "lost", reason: "gave_way", problem: "the spool had no room, or its disk is damaged" };
      const outcome = await to.deliver({ bytes, records }, signal);
      if (outcome.kind !== "away") spool.done(entry);
      return outcome;
    },
    async close() {
      await to.close();
      spool[Symbol.dispose]();
    },
  };
}
