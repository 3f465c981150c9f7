/** What reads and compiles policies, in whichever thread: seconds for the largest files. Plain data: it crosses a channel. */
import type { ChannelContract } from "@x0tta6bl4/core";
import type { Checked } from "../check.ts";
import type { EncodedTables } from "../compile/encode.ts";
import type { PolicyText } from "../documents.ts";
import type { WorkloadPlace } from "../enforce/contract.ts";
import type { Remark } from "../inspect.ts";
import type { World } from "../model.ts";
import type { KnownAddress } from "../names/known.ts";
import type { StoredDocument } from "../store/store.ts";
import type { NameEntry, Tables } from "../tables.ts";
import type { SetPart } from "./set-parts.ts";

/** What of a world can be sent. */
export type PlainWorld = Omit<World, "names">;

export type NameSelection = readonly [kind: NameEntry["kind"], text: string];

export interface Taken {
  readonly parts: number;
  /** Names and patterns that its rules select by. */
  readonly names: readonly NameSelection[];
}

export interface Compilation {
  readonly tables: EncodedTables;
  readonly places: readonly WorkloadPlace[];
}

export interface RehearsalTables {
  readonly tables: Tables;
  /** What ids of verdicts stand for: rules, and the sections that turn on default deny. */
  readonly rules: readonly (readonly [
    id: number,
    rule: { readonly policy: string; readonly path: string },
  ])[];
  /** Workloads that any policy selects. */
  readonly selected: readonly number[];
}

export type CompilerCalls = {
  /** The documents of files, as they are stored. @throws X0_FLOWS_POLICY_MALFORMED, X0_FLOWS_POLICY_UNSUPPORTED */
  read(request: {
    readonly files: readonly PolicyText[];
    readonly how: Pick<StoredDocument, "audit" | "appliedMs">;
  }): StoredDocument[];
  /** Nothing that files hold is an error here. */
  check(request: {
    readonly files: readonly PolicyText[];
    readonly world: PlainWorld;
    readonly known: readonly KnownAddress[];
  }): Omit<Checked, "set">;
  /** From now on parts, tables and remarks are of these. @throws as `read` */
  take(documents: readonly StoredDocument[]): Taken;
  part(index: number): SetPart;
  /** @throws X0_FLOWS_POLICY_TOO_LARGE */
  tables(request: {
    /** Of what the parts' contents told, in their order. */
    readonly ids: readonly number[];
    readonly world: PlainWorld;
    readonly management: boolean;
    /** Of the names, in their order. */
    readonly numbers: readonly number[];
  }): Compilation;
  /** @param request.names of the policies that are looked through */
  remarks(request: {
    readonly world: PlainWorld;
    readonly known: readonly KnownAddress[];
    readonly names: readonly string[];
  }): Remark[];
  /** Tables of files beside what is applied. @throws as `read` and `tables` */
  rehearsal(request: {
    readonly files: readonly PolicyText[];
    readonly documents: readonly StoredDocument[];
    readonly world: PlainWorld;
    readonly management: boolean;
  }): RehearsalTables;
};

export interface CompilerContract extends ChannelContract {
  readonly calls: CompilerCalls;
  readonly events: Readonly<Record<never, never>>;
}

/** As whoever asks has it. */
export type PolicyCompiler = {
  readonly [Name in keyof CompilerCalls]: (
    request: Parameters<CompilerCalls[Name]>[0],
  ) => Promise<ReturnType<CompilerCalls[Name]>>;
};
