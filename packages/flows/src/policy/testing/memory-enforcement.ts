/** The capturing side's calls answered from memory: what is in force falls back at its deadline, as in the kernel. */
import type { Clock, Feature } from "@x0tta6bl4/core";
import { flowsFail } from "../../errors.ts";
import type { EncodedTables } from "../compile/encode.ts";
import type { EnforcementFigures, SwapRequest } from "../enforce/contract.ts";
import type { Enforcement } from "../enforce/service.ts";
import type { AdmittedAddress, NameFigures } from "../names/contract.ts";

export const noNames: NameFigures = {
  queries: 0,
  answers: 0,
  admitted: 0,
  strangers: 0,
  unasked: 0,
  malformed: 0,
  full: 0,
  addresses: 0,
  encrypted: 0,
};

export interface MemoryEnforcement extends Enforcement {
  /** What judges now; undefined where nothing does. */
  inForce(): EncodedTables | undefined;
  /** Requests in order. */
  readonly swaps: readonly SwapRequest[];
  /** Says why nothing can be enforced, or that all can. */
  turnOff(feature: Feature | undefined): void;
  /** Lets the next swaps fail as a kernel without memory does. */
  refuse(isRefusing: boolean): void;
  rules: EnforcementFigures["rules"];
  /** Admitted so far. */
  readonly addresses: AdmittedAddress[];
}

export function memoryEnforcement(clock: Clock): MemoryEnforcement {
  interface Choice {
    readonly generation: number;
    readonly tables: EncodedTables | undefined;
  }
  const none: Choice = { generation: 0, tables: undefined };
  const swaps: SwapRequest[] = [];
  let current = none;
  let waiting: { readonly previous: Choice; readonly untilNs: bigint } | undefined;
  let missing: Feature | undefined;
  let isRefusing = false;
  let latest = 0;
  const isOver = (): boolean => waiting !== undefined && clock.monotonicNs() >= waiting.untilNs;
  const holding = (): Choice => (isOver() ? (waiting?.previous ?? none) : current);
  return {
    swaps,
    rules: [],
    addresses: [],
    missing: () => missing,
    inForce: () => holding().tables,
    turnOff: (feature) => {
      missing = feature;
    },
    refuse: (refusing) => {
      isRefusing = refusing;
    },
    async swap(request) {
      if (isRefusing) throw flowsFail("X0_FLOWS_KERNEL_CALL", "making a policy's table: ENOMEM");
      swaps.push(request);
      const previous = holding();
      const { tables, confirmWithinMs } = request;
      current = tables === undefined ? none : { generation: ++latest, tables };
      waiting =
        confirmWithinMs === undefined
          ? undefined
          : { previous, untilNs: clock.monotonicNs() + BigInt(confirmWithinMs) * 1_000_000n };
      return current.generation;
    },
    async confirm() {
      if (waiting === undefined || isOver()) return false;
      waiting = undefined;
      return true;
    },
    async revert() {
      if (waiting === undefined) return false;
      current = waiting.previous;
      waiting = undefined;
      return true;
    },
    async figures() {
      const { generation } = holding();
      const leftMs = waiting === undefined ? 0 : Number(waiting.untilNs - clock.monotonicNs()) / 1e6;
      const unconfirmed =
        waiting === undefined || isOver() ? undefined : { previous: waiting.previous.generation, leftMs };
      const counted = { verdicts: 0, unremembered: 0, related: 0, connections: 0, names: noNames };
      return { inForce: { generation, unconfirmed }, ...counted, rules: this.rules, isPinned: false };
    },
    async admit(addresses) {
      this.addresses.push(...addresses);
    },
    async admitted(since) {
      const version = this.addresses.length;
      return version === since ? undefined : { version, addresses: this.addresses };
    },
  };
}
