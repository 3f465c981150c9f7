/** The processes of a packet: those of its flow, read from the kernel's flow table. */
import type { FlowMaps } from "../capture/contract.ts";
import { createProcesses } from "../capture/processes.ts";
import type { FlowProcess } from "../flow.ts";
import { flowLayout } from "../generated/layout.ts";
import { cgroupPaths } from "../kernel/cgroups.ts";
import { ELEMENT_WORDS, openKernelFlows } from "../kernel/flow-table.ts";
import type { Libc } from "../kernel/libc.ts";

const KEY_BYTES = 40;
const KEY_WORDS = KEY_BYTES / 4;
/** A look-up costs a microsecond or two, and packets of a flow come in trains. */
const REMEMBERED = 1024;
/** Who owns a socket is learned a few packets after its first. */
const FRESH_MS = 100;

export interface Owners {
  /** Of side 0 and side 1 of the flow whose key begins at `words[at]`. */
  of(words: Uint32Array, at: number, nowMs: number): readonly [FlowProcess | null, FlowProcess | null];
  close(): void;
}

export function openOwners(libc: Libc, maps: FlowMaps, nowMs: () => number): Owners {
  const cgroups = maps.cgroupRoot === undefined ? undefined : cgroupPaths(maps.cgroupRoot, nowMs);
  const processes = createProcesses(libc, maps.processes, { cgroups, nowMs });
  const flows = openKernelFlows(libc, maps.flows, maps.maxFlows);
  const keys = new Uint32Array(REMEMBERED * KEY_WORDS);
  const readMs = new Float64Array(REMEMBERED).fill(Number.NEGATIVE_INFINITY);
  const known: (readonly [FlowProcess | null, FlowProcess | null])[] = Array(REMEMBERED).fill([null, null]);

  const read = (key: Uint32Array, keyAt: number): readonly [FlowProcess | null, FlowProcess | null] => {
    const element = flows.find(key, keyAt);
    if (element < 0) return [null, null];
    const { words } = flows;
    const at = element * ELEMENT_WORDS + flowLayout.process / 4;
    return [
      processes.get(words[at] as number, words[at + 1] as number),
      processes.get(words[at + 2] as number, words[at + 3] as number),
    ];
  };

  return {
    of(words, at, now) {
      let hash = 0;
      let same = true;
      for (let word = 0; word < KEY_WORDS; word++)
        hash = Math.imul(hash ^ (words[at + word] as number), 0x9e3779b1);
      const slot = (hash >>> 16) % REMEMBERED;
      const base = slot * KEY_WORDS;
      for (let word = 0; word < KEY_WORDS; word++) same &&= keys[base + word] === words[at + word];
      if (same && now - (readMs[slot] as number) < FRESH_MS) return known[slot] as (typeof known)[number];
      for (let word = 0; word < KEY_WORDS; word++) keys[base + word] = words[at + word] as number;
      readMs[slot] = now;
      const found = read(words, at);
      known[slot] = found;
      return found;
    },
    close() {
      processes.close();
      flows.close();
    },
  };
}
