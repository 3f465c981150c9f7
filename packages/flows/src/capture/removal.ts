/**
 * Takes flows that are over out of the kernel's table, in two steps: a read unlinks them, so that no packet finds them
 * any more; the next one, when who found them before must be done, takes their very last figures and gives their
 * elements back.
 */
import type { KernelFlows } from "../kernel/flow-table.ts";
import { elementOf, type FlowTable } from "./table.ts";

export interface Removal {
  /** Whether its flow is on its way out. */
  isLeaving(element: number): boolean;
  unlink(slots: readonly number[]): void;
  /** Ends those that were unlinked by the read before. */
  finish(): void;
}

export interface RemovalOptions {
  readonly flows: KernelFlows;
  readonly elements: number;
  readonly table: FlowTable;
  /** Takes an element's last report, and ends its flow. */
  readonly end: (element: number) => void;
}

export function createRemoval({ flows, elements, table, end }: RemovalOptions): Removal {
  const leaving = new Uint8Array(elements);
  let unlinked: number[] = [];
  return {
    isLeaving: (element) => leaving[element] === 1,
    unlink(slots) {
      for (const slot of slots) {
        if (!table.isActive(slot)) continue;
        const low = table.idLow(slot);
        const element = elementOf(low);
        // Else another flow needs its tuple or its room just now, which the ring tells.
        if (leaving[element] === 1 || !flows.unlink(element, low, table.idHigh(slot))) continue;
        leaving[element] = 1;
        unlinked.push(element);
      }
    },
    finish() {
      for (const element of unlinked) {
        end(element);
        flows.free(element);
        leaving[element] = 0;
      }
      unlinked = [];
    },
  };
}
