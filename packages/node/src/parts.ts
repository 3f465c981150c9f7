import type { PartDefinition } from "@x0tta6bl4/core";

/** A part that `node` composes. It is loaded only when needed, so that `x0 --help` stays quick. */
export interface PartEntry {
  /** Name of the noun and of the configuration section: equal to the definition's. */
  readonly name: string;
  readonly summary: string;
  /** Names of its commands, for the help. */
  readonly verbs: readonly string[];
  load(): Promise<PartDefinition>;
}

/** Every part of the product, in the order in which they start. */
export const parts: readonly PartEntry[] = [
  {
    name: "flows",
    summary: "Network flows of this machine, from the kernel",
    verbs: ["capture", "observe", "summary"],
    load: async () => (await import("@x0tta6bl4/flows")).flowsPart as PartDefinition,
  },
  {
    name: "policy",
    summary: "Network policies: who may speak to whom",
    verbs: ["apply", "audit", "check", "confirm", "delete", "list", "reset", "revert", "show", "suggest"],
    load: async () => (await (await import("@x0tta6bl4/flows")).loadPolicyPart()) as PartDefinition,
  },
];

export function loadParts(entries: readonly PartEntry[]): Promise<PartDefinition[]> {
  return Promise.all(entries.map((entry) => entry.load()));
}
