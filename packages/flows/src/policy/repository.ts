/**
 * The policies of this node: stored, compiled against the world, put in force. One change at a time, in steps of which
 * each may be the last (a power cut, a kernel that refuses): tried without effect, stored as prepared, swapped in the
 * kernel, stored as confirmed. Only what is confirmed is applied by a start.
 */
import { setImmediate } from "node:timers/promises";
import { type Clock, type Log, messageOf, X0Error } from "@x0tta6bl4/core";
import { flowsFail } from "../errors.ts";
import { type Difference, difference, merged } from "./changes.ts";
import { areEqual, type Compiled, compileDocuments, isSameWorld, plainWorld } from "./compiler/compiled.ts";
import type { PolicyCompiler } from "./compiler/contract.ts";
import type { PolicyConfig } from "./config.ts";
import type { PolicyText } from "./documents.ts";
import type { EnforcementFigures, Tuple } from "./enforce/contract.ts";
import type { Enforcement } from "./enforce/service.ts";
import type { World } from "./model.ts";
import type { AdmittedAddresses, NameSettings } from "./names/contract.ts";
import { type KnownAddress, knownAddresses } from "./names/known.ts";
import type { NameStore } from "./names/name-store.ts";
import { resolversOf } from "./resolvers.ts";
import { namesOfRules } from "./store/number.ts";
import { SESSION_ID } from "./store/schema.ts";
import type { HeldGeneration, PolicyStore, StoredDocument, StoredGeneration } from "./store/store.ts";

/** Each is one entry of a map of 256 that holds both. */
const MOST_SESSIONS = 16;
/** Documents that are stored while nothing else is answered: some milliseconds. */
const KEPT_AT_ONCE = 500;

export interface ApplyRequest {
  readonly files: readonly PolicyText[];
  readonly audit: boolean;
  /** Whether management ports stay reachable whatever the policies say. */
  readonly management: boolean;
  readonly pin: boolean;
  readonly confirmWithinMs?: number | undefined;
  /** The connection over which it is applied: it stays whatever the policies say. */
  readonly session?: Tuple | undefined;
}

export interface Change extends Difference {
  readonly generation: number;
  readonly waiting: boolean;
  /** What is valid but probably not intended, of the policies that were given. */
  readonly warnings: readonly string[];
}

/** What holds, or is to hold. */
export interface Held {
  readonly stored: Omit<HeldGeneration, "state" | "settledMs">;
  /** Undefined where what was stored can no longer be read: another version, another configuration. */
  readonly compiled: Compiled | undefined;
  /** Of the kernel; undefined where it is not enforced. */
  readonly inKernel: number | undefined;
}

export interface RepositoryStatus {
  readonly held: Held | undefined;
  readonly waiting: { readonly held: Held; readonly leftMs: number } | undefined;
  /** Why it is not enforced, undefined where it is. */
  readonly off: { readonly reason: string; readonly hint: string | undefined } | undefined;
  readonly world: World;
}

export interface Repository {
  /** Puts in force what was last confirmed. */
  start(): Promise<void>;
  /** @throws X0_FLOWS_POLICY_UNCONFIRMED, what is wrong with the texts, what the kernel refuses */
  apply(request: ApplyRequest): Promise<Change>;
  /** @throws X0_FLOWS_POLICY_UNKNOWN, and as `apply` */
  remove(names: readonly string[], session: Tuple | undefined): Promise<Change>;
  /** Ends all policy, also one that waits for its confirmation. */
  reset(): Promise<Change>;
  /** @throws X0_FLOWS_POLICY_NOT_WAITING */
  confirm(): Promise<StoredGeneration["number"]>;
  /** @throws X0_FLOWS_POLICY_NOT_WAITING */
  revert(): Promise<StoredGeneration["number"]>;
  /** Takes note of a changed world and of a passed deadline. */
  refresh(): Promise<void>;
  /** Undefined where nothing is applied, or nothing can be enforced. */
  figures(): Promise<EnforcementFigures | undefined>;
  /** Which addresses are admitted for which names. */
  admitted(): Promise<AdmittedAddresses["addresses"]>;
  /** The same by names; where nothing is enforced, what was learned before. */
  known(): Promise<readonly KnownAddress[]>;
  status(): RepositoryStatus;
}

export interface RepositoryOptions {
  readonly config: PolicyConfig;
  /** Asked by the first document: most hosts have none. */
  readonly compiler: PolicyCompiler;
  readonly store: PolicyStore;
  readonly names: NameStore;
  readonly enforcement: Enforcement | undefined;
  /** Workloads are those of some seconds ago, unless they are looked for anew. */
  readonly world: (looksAnew?: boolean) => World;
  readonly clock: Clock;
  readonly log: Log;
}

interface Waiting {
  readonly held: Held;
  readonly untilNs: bigint;
}

export function createRepository(options: RepositoryOptions): Repository {
  const { config, compiler, store, names, enforcement, clock, log } = options;
  let world = options.world();
  let held: Held | undefined;
  let waiting: Waiting | undefined;
  let failure: X0Error | undefined;
  let sessions: readonly Tuple[] = [];
  /** What the kernel knows of resolvers. */
  let toldSettings: NameSettings | undefined;
  let savedVersion = 0;
  let last: Promise<unknown> = Promise.resolve();

  /** One after the other: each begins where the one before ended. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work);
    last = result.catch(() => undefined);
    return result;
  };
  const off = (): RepositoryStatus["off"] => {
    if (enforcement === undefined)
      return { reason: "no part of this node observes packets", hint: undefined };
    const missing = enforcement.missing();
    if (missing !== undefined)
      return { reason: missing.reason ?? "packets are not observed", hint: missing.hint };
    return failure === undefined ? undefined : { reason: messageOf(failure), hint: failure.hint };
  };
  const canEnforce = (): Enforcement | undefined =>
    enforcement === undefined || enforcement.missing() !== undefined ? undefined : enforcement;
  const nameSettings = (): NameSettings => ({
    resolvers: resolversOf(config),
    shortestSeconds: config.names_min_ttl,
    longestSeconds: Math.max(config.names_min_ttl, config.names_max_ttl),
  });
  const swap = async (
    stored: Held["stored"],
    compiled: Compiled,
    confirmWithinMs?: number,
  ): Promise<Held> => {
    const settings = nameSettings();
    const generation = await canEnforce()?.swap({
      tables: stored.documents.length === 0 ? undefined : compiled.tables,
      pin: stored.pin || config.pin,
      rules: namesOfRules(compiled.set),
      // What may hold again by itself needs its own.
      workloads:
        confirmWithinMs === undefined
          ? compiled.places
          : [...(held?.compiled?.places ?? []), ...compiled.places],
      judgeLoopback: !stored.management,
      exempt: { id: SESSION_ID, connections: sessions },
      names: settings,
      ...(confirmWithinMs === undefined ? {} : { confirmWithinMs }),
    });
    failure = undefined;
    toldSettings = settings;
    return { stored, compiled, inKernel: generation };
  };
  const compiledOf = (
    documents: readonly StoredDocument[],
    management: boolean,
    before?: Compiled,
  ): Promise<Compiled> => {
    // What is applied is to hold for all that run now.
    world = options.world(before === undefined);
    return compileDocuments({ compiler, store, names }, { documents, management, world, before });
  };
  const requireSettled = (): void => {
    if (waiting !== undefined)
      throw flowsFail(
        "X0_FLOWS_POLICY_UNCONFIRMED",
        `generation ${waiting.held.stored.number} waits for its confirmation`,
        { hint: "x0 policy confirm keeps it, x0 policy revert ends it" },
      );
  };
  const notWaiting = (): X0Error =>
    flowsFail("X0_FLOWS_POLICY_NOT_WAITING", "no policy waits for its confirmation", {
      hint: "it was confirmed already, or its time has passed and what held before holds again: x0 policy list",
    });

  const put = async (
    documents: readonly StoredDocument[],
    how: Pick<ApplyRequest, "management" | "pin" | "confirmWithinMs" | "session">,
  ): Promise<Change> => {
    const { management, pin, confirmWithinMs, session } = how;
    if (confirmWithinMs !== undefined && canEnforce() === undefined)
      throw flowsFail(
        "X0_FLOWS_POLICY_NOT_ENFORCED",
        `policies are not enforced here, so nothing could fall back: ${off()?.reason}`,
        { hint: "apply without --confirm-within: it is stored, and enforced as soon as it can be" },
      );
    const compiled = await compiledOf(documents, management);
    if (session !== undefined)
      sessions = [...sessions.filter((one) => !same(one, session)), session].slice(-MOST_SESSIONS);
    const before = held;
    const applied = { appliedMs: clock.nowMs(), management, pin, documents };
    const kept: number[] = [];
    while (kept.length < documents.length) {
      kept.push(...store.keep(documents.slice(kept.length, kept.length + KEPT_AT_ONCE)));
      await setImmediate();
    }
    const number = store.prepare(applied, kept);
    let next: Held;
    try {
      next = await swap({ number, ...applied }, compiled, confirmWithinMs);
    } catch (error) {
      store.settle(number, "reverted", clock.nowMs());
      // It may have come as far as the kernel, and failed to be pinned there.
      await restore(before).catch((reason: unknown) =>
        log.error("what held before could not be put back", { reason: messageOf(reason) }),
      );
      throw error;
    }
    try {
      store.settle(number, confirmWithinMs === undefined ? "confirmed" : "unconfirmed", clock.nowMs());
    } catch (error) {
      // A disk without room: what a start would apply has to be what holds.
      await restore(before);
      throw error;
    }
    if (confirmWithinMs === undefined) held = next;
    else waiting = { held: next, untilNs: clock.monotonicNs() + BigInt(Math.round(confirmWithinMs * 1e6)) };
    return {
      generation: number,
      ...difference(before?.stored.documents ?? [], documents),
      waiting: confirmWithinMs !== undefined,
      warnings: [],
    };
  };
  const admitted: Repository["admitted"] = async () => (await canEnforce()?.admitted(-1))?.addresses ?? [];
  const known: Repository["known"] = async () =>
    knownAddresses(canEnforce() === undefined ? names.saved(clock.nowMs()) : await admitted(), names);
  /** Of what was compiled last. */
  const warningsOf = async (policies: readonly string[]): Promise<string[]> => {
    const remarks = await compiler.remarks({
      world: plainWorld(world),
      known: await known(),
      names: policies,
    });
    return remarks.map(
      ({ policy, path, message, hint }) =>
        `${policy}, ${path}: ${message}${hint === undefined ? "" : ` (${hint})`}`,
    );
  };
  const restore = async (before: Held | undefined): Promise<void> => {
    if (before?.compiled !== undefined) held = await swap(before.stored, before.compiled);
    else
      await canEnforce()?.swap({
        tables: undefined,
        workloads: [],
        pin: false,
        rules: [],
        judgeLoopback: false,
        exempt: { id: SESSION_ID, connections: [] },
      });
  };
  const revertWaiting = async (): Promise<number> => {
    if (waiting === undefined) throw notWaiting();
    const { number } = waiting.held.stored;
    await canEnforce()?.revert();
    store.settle(number, "reverted", clock.nowMs());
    waiting = undefined;
    // Workloads, sessions and pins are those of what waited.
    if (held !== undefined) held = { ...held, inKernel: undefined };
    return number;
  };
  /** The kernel's deadline counts: its clock goes on while this host sleeps. */
  const isOver = async ({ untilNs }: Waiting): Promise<boolean> => {
    if (clock.monotonicNs() >= untilNs) return true;
    const figures = await canEnforce()?.figures();
    return figures !== undefined && figures.inForce.unconfirmed === undefined;
  };
  /** Compiles anew where the world is another. */
  const follow = async (): Promise<void> => {
    world = options.world();
    if (held?.compiled === undefined || waiting !== undefined || canEnforce() === undefined) return;
    const { stored, compiled, inKernel } = held;
    const isKnown = isSameWorld(compiled.world, world);
    const isTold = JSON.stringify(toldSettings) === JSON.stringify(nameSettings());
    if (isKnown && isTold && inKernel !== undefined) return;
    try {
      const latest = isKnown
        ? { ...compiled, world }
        : await compiledOf(stored.documents, stored.management, compiled);
      const arePlaced = JSON.stringify(latest.places) === JSON.stringify(compiled.places);
      if (inKernel !== undefined && isTold && arePlaced && areEqual(latest.tables, compiled.tables)) {
        held = { ...held, compiled: latest };
        return;
      }
      held = await swap(stored, latest);
      log.info("policies are in force as the world is now", { generation: stored.number });
    } catch (error) {
      fail(error, "policies cannot be enforced");
    }
  };
  /** Gives the kernel what was learned before this start. */
  const admitSaved = async (): Promise<void> => {
    const saved = names.saved(clock.nowMs());
    if (saved.length > 0) await canEnforce()?.admit(saved);
  };
  /** So that a restart forgets no address, however the agent ends. */
  const saveAdmitted = async (): Promise<void> => {
    if (!(waiting?.held ?? held)?.compiled?.tables.automaton.length) return;
    const admitted = await canEnforce()?.admitted(savedVersion);
    if (admitted === undefined) return;
    names.save(admitted.addresses);
    savedVersion = admitted.version;
  };
  const fail = (error: unknown, message: string): void => {
    if (!(error instanceof X0Error)) throw error;
    if (failure?.message !== error.message) log.error(message, { reason: error.message, hint: error.hint });
    failure = error;
  };

  return {
    start: () =>
      inTurn(async () => {
        store.revertUnsettled(clock.nowMs());
        const confirmed = store.confirmed();
        if (confirmed === undefined) {
          // What an agent pinned and nobody remembers.
          const left = await canEnforce()?.figures();
          if (left !== undefined && (left.isPinned || left.inForce.generation !== 0))
            await restore(undefined);
          return;
        }
        held = { stored: confirmed, compiled: undefined, inKernel: undefined };
        try {
          held = { ...held, compiled: await compiledOf(confirmed.documents, confirmed.management) };
        } catch (error) {
          fail(error, "the stored policies cannot be read");
        }
        await admitSaved();
        await follow();
      }),
    apply: (request) =>
      inTurn(async () => {
        requireSettled();
        const how = { audit: request.audit, appliedMs: clock.nowMs() };
        const given = await compiler.read({ files: request.files, how });
        if (given.length === 0)
          throw flowsFail("X0_FLOWS_POLICY_MALFORMED", "there is no document to apply", {
            hint: "a file of policies begins with apiVersion: cilium.io/v2",
          });
        const change = await put(merged(held?.stored.documents ?? [], given), request);
        const reason = off()?.reason;
        const notInForce = reason === undefined ? [] : [`stored, not in force: ${reason}`];
        return { ...change, warnings: [...notInForce, ...(await warningsOf(given.map(({ name }) => name)))] };
      }),
    remove: (names, session) =>
      inTurn(async () => {
        requireSettled();
        const documents = held?.stored.documents ?? [];
        const unknown = names.find((name) => !documents.some((document) => document.name === name));
        if (unknown !== undefined)
          throw flowsFail("X0_FLOWS_POLICY_UNKNOWN", `no policy is named ${unknown}`, {
            hint: "x0 policy list names them",
          });
        const { management, pin } = held?.stored ?? { management: true, pin: false };
        return put(
          documents.filter(({ name }) => !names.includes(name)),
          { management, pin, session },
        );
      }),
    reset: () =>
      inTurn(async () => {
        if (waiting !== undefined) await revertWaiting();
        const before = held?.stored.documents ?? [];
        const applied = { appliedMs: clock.nowMs(), management: true, pin: false, documents: [] };
        const number = store.prepare(applied);
        // First for the next start, whatever the kernel says.
        store.settle(number, "confirmed", clock.nowMs());
        held = await swap({ number, ...applied }, await compiledOf([], true));
        return { generation: number, ...difference(before, []), waiting: false, warnings: [] };
      }),
    confirm: () =>
      inTurn(async () => {
        if (waiting === undefined) throw notWaiting();
        if ((await canEnforce()?.confirm()) !== true) {
          await revertWaiting();
          throw notWaiting();
        }
        const { number } = waiting.held.stored;
        store.settle(number, "confirmed", clock.nowMs());
        held = waiting.held;
        waiting = undefined;
        await follow();
        return number;
      }),
    revert: () =>
      inTurn(async () => {
        const number = await revertWaiting();
        await follow();
        return number;
      }),
    refresh: () =>
      inTurn(async () => {
        if (waiting !== undefined && (await isOver(waiting))) {
          // The kernel fell back by itself; this lets go of the table.
          const generation = await revertWaiting();
          log.warn("a policy was not confirmed in time: what held before holds again", { generation });
        }
        await follow();
        await saveAdmitted();
      }),
    figures: async () => (held === undefined && waiting === undefined ? undefined : canEnforce()?.figures()),
    admitted,
    known,
    status: () => ({
      held,
      waiting:
        waiting === undefined
          ? undefined
          : {
              held: waiting.held,
              leftMs: Math.max(0, Number(waiting.untilNs - clock.monotonicNs()) / 1e6),
            },
      off: off(),
      world,
    }),
  };
}

function same(a: Tuple, b: Tuple): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
