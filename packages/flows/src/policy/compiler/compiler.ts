/** Reads and compiles policies in the thread that it is called in: see `thread.ts` for one beside it. */
import { readCheck } from "../check.ts";
import { compile } from "../compile/compile.ts";
import { encode } from "../compile/encode.ts";
import type { PolicyConfig } from "../config.ts";
import { createReader } from "../documents.ts";
import { selectsEndpoint } from "../evaluate.ts";
import { inspect } from "../inspect.ts";
import { managementOf } from "../management.ts";
import type { PolicySet, World } from "../model.ts";
import { namesIn } from "../names/known.ts";
import { resolversOf } from "../resolvers.ts";
import { renumbered } from "../store/number.ts";
import type { StoredDocument } from "../store/store.ts";
import { placesOf } from "../workloads/places.ts";
import type { CompilerCalls, NameSelection, PlainWorld, PolicyCompiler } from "./contract.ts";
import { partsOf, type SetPart } from "./set-parts.ts";

export function createCompiler(config: PolicyConfig): CompilerCalls {
  const reader = createReader(config);
  /** What was read and taken: documents that come again are not read again. */
  let known = new Map<string, StoredDocument>();
  let set: PolicySet = { policies: [] };
  let parts: readonly SetPart[] = [];
  let names: readonly NameSelection[] = [];

  const sameAsBefore = (document: StoredDocument): StoredDocument => known.get(keyOf(document)) ?? document;
  return {
    read({ files, how }) {
      const documents = reader.read(files, how);
      for (const document of documents) known.set(keyOf(document), document);
      return documents;
    },
    check({ files, world, known: addresses }) {
      const whole = { ...world, names: namesIn(addresses) };
      const { set: _, ...checked } = readCheck(files, config, whole);
      return checked;
    },
    take(documents) {
      const taken = documents.map(sameAsBefore);
      set = reader.setOf(taken);
      known = new Map(taken.map((document) => [keyOf(document), document]));
      parts = partsOf(set);
      names = namesOf(set);
      return { parts: parts.length, names };
    },
    part(index) {
      const part = parts[index];
      if (part === undefined) throw new RangeError(`the set has ${parts.length} parts, not one ${index}`);
      return part;
    },
    tables({ ids, world, management, numbers }) {
      const numberOf = new Map(names.map(([kind, text], index) => [`${kind} ${text}`, numbers[index]]));
      const own = renumbered(set, ids);
      const whole = unnamed(world);
      const tables = compile(own, whole, management ? managementOf(config) : undefined, {
        numberOfName: (kind, text) => numberOf.get(`${kind} ${text}`) as number,
      });
      return { tables: encode(tables), places: placesOf(own, whole) };
    },
    remarks({ world, known: addresses, names: wanted }) {
      const all = inspect(set, { ...world, names: namesIn(addresses) }, resolversOf(config));
      const isWanted = new Set(wanted);
      return all.filter(({ policy }) => isWanted.has(policy));
    },
    rehearsal({ files, documents, world, management }) {
      const own = createReader(config);
      const given = own.read(files, { audit: false, appliedMs: 0 });
      const isGiven = new Set(given.map(({ kind, name }) => `${kind} ${name}`));
      const kept = documents.filter(({ kind, name }) => !isGiven.has(`${kind} ${name}`));
      const together = own.setOf([...kept, ...given]);
      const rules = rulesOf(together);
      const managing = management ? { ...managementOf(config), id: rules.length + 1 } : undefined;
      const whole = unnamed(world);
      const specs = together.policies.flatMap((policy) => policy.specs);
      return {
        tables: compile(together, whole, managing),
        rules,
        selected: whole.workloads
          .map(({ endpoint }) => endpoint)
          .filter((endpoint) => specs.some((spec) => selectsEndpoint(spec, whole, endpoint))),
      };
    },
  };
}

/** The same as whoever asks has it. */
export function compilerHere(config: PolicyConfig): PolicyCompiler {
  const calls = createCompiler(config);
  return {
    read: async (request) => calls.read(request),
    check: async (request) => calls.check(request),
    take: async (documents) => calls.take(documents),
    part: async (index) => calls.part(index),
    tables: async (request) => calls.tables(request),
    remarks: async (request) => calls.remarks(request),
    rehearsal: async (request) => calls.rehearsal(request),
  };
}

function keyOf({ kind, name, audit, appliedMs, text }: StoredDocument): string {
  return JSON.stringify([kind, name, audit, appliedMs, text]);
}

function unnamed(world: PlainWorld): World {
  return { ...world, names: () => [] };
}

function namesOf({ policies }: PolicySet): NameSelection[] {
  const all = policies
    .flatMap(({ specs }) => specs)
    .flatMap(({ egress }) => egress?.rules ?? [])
    .flatMap(({ peers }) => peers ?? [])
    .flatMap((peer): NameSelection[] => {
      if (peer.kind === "name") return [["name", peer.name]];
      return peer.kind === "pattern" ? [["pattern", peer.pattern]] : [];
    });
  return [...new Map(all.map((one) => [one.join(" "), one])).values()];
}

function rulesOf({ policies }: PolicySet): [number, { policy: string; path: string }][] {
  const sections = policies.flatMap(({ name, specs }) =>
    specs
      .flatMap(({ ingress, egress }) => [ingress ?? [], egress ?? []].flat())
      .map((section) => ({ name, section })),
  );
  return sections.flatMap(({ name: policy, section }) => [
    [section.defaultDenyId, { policy, path: section.path }],
    ...section.rules.map(({ id, path }): [number, { policy: string; path: string }] => [
      id,
      { policy, path },
    ]),
  ]);
}
