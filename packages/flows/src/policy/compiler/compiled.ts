/** Documents compiled against a world, as whoever applies them has it. */
import type { EncodedTables } from "../compile/encode.ts";
import type { WorkloadPlace } from "../enforce/contract.ts";
import type { PolicySet, World } from "../model.ts";
import type { NameStore } from "../names/name-store.ts";
import type { PolicyStore, StoredDocument } from "../store/store.ts";
import type { PlainWorld, PolicyCompiler } from "./contract.ts";
import { gathered, type SetPart } from "./set-parts.ts";

export interface Compiled {
  readonly set: PolicySet;
  /** Its rules' numbers, in the order in which they were given. */
  readonly ids: readonly number[];
  /** What it was compiled against. */
  readonly world: World;
  readonly tables: EncodedTables;
  /** Where the workloads are that it selects. */
  readonly places: readonly WorkloadPlace[];
}

interface Sources {
  readonly compiler: PolicyCompiler;
  readonly store: Pick<PolicyStore, "ids">;
  readonly names: Pick<NameStore, "numberOf">;
}

interface Order {
  readonly documents: readonly StoredDocument[];
  readonly management: boolean;
  readonly world: World;
  /** What was compiled of the same documents, against another world. */
  readonly before: Compiled | undefined;
}

/** Of no policy. */
const noTables: EncodedTables = {
  keys: new Uint8Array(),
  values: new Uint8Array(),
  count: 0,
  automaton: new Uint8Array(),
};

/** @throws what is wrong with the documents, X0_FLOWS_POLICY_TOO_LARGE */
export async function compileDocuments(
  sources: Sources,
  { documents, management, world, before }: Order,
): Promise<Compiled> {
  if (documents.length === 0) return { set: { policies: [] }, ids: [], world, tables: noTables, places: [] };
  const { compiler, names } = sources;
  const { parts, names: selections } = await compiler.take(documents);
  const { set, ids } = before ?? (await numberedSet(sources, parts));
  const numbers = selections.map(([kind, text]) => names.numberOf(kind, text));
  const compiled = await compiler.tables({ ids, world: plainWorld(world), management, numbers });
  return { set, ids, world, ...compiled };
}

/** The set comes in parts and its rules are numbered part by part: nothing holds up this thread for long. */
async function numberedSet(
  { compiler, store }: Sources,
  count: number,
): Promise<Pick<Compiled, "set" | "ids">> {
  const parts: SetPart[] = [];
  const ids: number[] = [];
  while (parts.length < count) {
    const part = await compiler.part(parts.length);
    parts.push(part);
    ids.push(...store.ids(part.contents));
  }
  return { set: gathered(parts, ids), ids };
}

export function plainWorld({ node, members, workloads }: World): PlainWorld {
  return { node, members, workloads };
}

/** Whether selectors select the same: members and labels are the configuration's, names are not compiled. */
export function isSameWorld(a: World, b: World): boolean {
  return (
    a.node.addresses.length === b.node.addresses.length &&
    a.node.addresses.every(
      (address, index) => Buffer.compare(address, b.node.addresses[index] as Uint8Array) === 0,
    ) &&
    (a.workloads === b.workloads || JSON.stringify(a.workloads) === JSON.stringify(b.workloads))
  );
}

export function areEqual(a: EncodedTables, b: EncodedTables): boolean {
  return (
    a.count === b.count &&
    Buffer.compare(a.keys, b.keys) === 0 &&
    Buffer.compare(a.values, b.values) === 0 &&
    Buffer.compare(a.automaton, b.automaton) === 0
  );
}
