/** What the policy part asks of the capturing thread, which owns programs and maps. */
import type { EncodedTables } from "../compile/encode.ts";
import type { AdmittedAddress, AdmittedAddresses, NameFigures, NameSettings } from "../names/contract.ts";
import type { InForce } from "./generations.ts";

/** A connection as its tuple; which side opened it does not matter. */
export interface Tuple {
  readonly protocol: number;
  readonly source: { readonly ip: string; readonly port: number };
  readonly destination: { readonly ip: string; readonly port: number };
}

/** A workload's cgroup. */
export interface WorkloadPlace {
  readonly endpoint: number;
  /** Below the root of the hierarchy. */
  readonly path: string;
  readonly cgroup: number;
  /** Whether any policy selects it; the others are known as peers only. */
  readonly isJudged: boolean;
}

export interface SwapRequest {
  /** None ends all policy. */
  readonly tables: EncodedTables | undefined;
  /** Falls back to what holds now, by itself, unless it is confirmed in time. */
  readonly confirmWithinMs?: number;
  /** Whether it stays in force when the agent dies. */
  readonly pin: boolean;
  /** Whether loopback is judged too. */
  readonly judgeLoopback: boolean;
  /** None where no policy selects any. */
  readonly workloads: readonly WorkloadPlace[];
  /** What ids of verdicts stand for: the policy's name, a space, the rule's path. */
  readonly rules: readonly (readonly [id: number, rule: string])[];
  /** Sessions that pass whatever the policy says, and the id of their verdicts. */
  readonly exempt: { readonly id: number; readonly connections: readonly Tuple[] };
  /** Undefined: as before. */
  readonly names?: NameSettings;
}

/** What the kernel side counted, and what holds there. */
export interface EnforcementFigures {
  readonly inForce: InForce;
  readonly verdicts: number;
  /** Allowed connections without room to be remembered: their answers are judged like packets of no connection. */
  readonly unremembered: number;
  readonly related: number;
  /** Remembered connections. */
  readonly connections: number;
  readonly names: NameFigures;
  /** By id of rule or default deny, since the agent's start. */
  readonly rules: readonly RuleFigures[];
  /** Whether what is attached outlives the agent, also what agents before it left. */
  readonly isPinned: boolean;
}

export interface RuleFigures {
  readonly id: number;
  readonly decision: "allow" | "audit" | "deny";
  readonly flows: number;
  readonly packets: number;
  readonly bytes: number;
}

export type EnforcementCalls = {
  /** @returns the generation. */
  swapPolicy(request: SwapRequest): number;
  confirmPolicy(argument: undefined): boolean;
  revertPolicy(argument: undefined): boolean;
  policyFigures(argument: undefined): EnforcementFigures;
  /** Admits what was known before a restart. */
  admitAddresses(addresses: readonly AdmittedAddress[]): void;
  /** @param since the version of what is known already: undefined unless it is another. */
  admittedAddresses(since: number): AdmittedAddresses | undefined;
};
