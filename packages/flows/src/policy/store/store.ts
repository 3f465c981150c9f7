/**
 * The documents that are applied, what was applied before, and what the numbers in verdicts stand for. A generation
 * is stored whole before the kernel hears of it and marked when it holds for good, each in one transaction that is on
 * the disk when the call returns: a power cut leaves the last confirmed generation, which is what a start applies.
 */
import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import { databaseError, openDatabase } from "@x0tta6bl4/core";
import { migrations, SESSION_ID } from "./schema.ts";

/** Generations that can be looked at; of older ones only the meaning of their verdicts is kept. */
const KEPT_GENERATIONS = 100;
const KEPT_MEANINGS = 1000;

export interface StoredDocument {
  readonly kind: string;
  readonly name: string;
  readonly text: string;
  readonly audit: boolean;
  /** Unix. */
  readonly appliedMs: number;
}

export type GenerationState = "prepared" | "unconfirmed" | "confirmed" | "reverted";

export interface StoredGeneration {
  readonly number: number;
  readonly state: GenerationState;
  readonly appliedMs: number;
  /** When it was confirmed or reverted. */
  readonly settledMs: number | undefined;
  /** Whether management ports stay reachable whatever it says. */
  readonly management: boolean;
  /** Whether it holds beyond the agent. */
  readonly pin: boolean;
}

export interface HeldGeneration extends StoredGeneration {
  readonly documents: readonly StoredDocument[];
}

/** A rule or default deny, and all that its verdict depends on. */
export interface RuleContent {
  readonly policy: string;
  readonly path: string;
  readonly content: string;
}

export interface PolicyStore {
  /** What holds for good; undefined where nothing was ever applied. */
  confirmed(): HeldGeneration | undefined;
  /** Stores documents of a generation to come, some of many at a time. @returns their rows */
  keep(documents: readonly StoredDocument[]): number[];
  /**
   * Stores what is about to be put in force.
   * @param kept rows of its documents; default: they are kept now.
   * @returns its number
   */
  prepare(
    generation: Pick<HeldGeneration, "appliedMs" | "management" | "pin" | "documents">,
    kept?: readonly number[],
  ): number;
  /** Says what became of it; a confirmed one replaces the one before. */
  settle(number: number, state: Exclude<GenerationState, "prepared">, nowMs: number): void;
  /** What no agent waits for any more is not in force. */
  revertUnsettled(nowMs: number): void;
  /** Newest first. */
  generations(limit: number): StoredGeneration[];
  /** Numbers for good: the same rule has the same one in every generation. */
  ids(rules: readonly RuleContent[]): number[];
  /** Undefined where no verdict carries it. */
  ruleOf(id: number): Pick<RuleContent, "policy" | "path"> | undefined;
  close(): void;
}

/** @throws X0_CORE_DATABASE_UNUSABLE and the other errors of core's database */
export function openPolicyStore(path: string): PolicyStore {
  const database = openDatabase({ path, migrations });
  // What was answered survives a power cut. It is written once an apply.
  database.exec("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
  const work = <T>(what: () => T): T => {
    try {
      return what();
    } catch (error) {
      throw databaseError(path, error);
    }
  };
  const transaction = <T>(what: () => T): T =>
    work(() => {
      database.exec("BEGIN IMMEDIATE");
      try {
        const result = what();
        database.exec("COMMIT");
        return result;
      } catch (error) {
        if (database.isTransaction) database.exec("ROLLBACK");
        throw error;
      }
    });
  return {
    confirmed: () =>
      work(() => {
        const row = database
          .prepare("SELECT * FROM generations WHERE state = 'confirmed' ORDER BY number DESC LIMIT 1")
          .get();
        return row === undefined ? undefined : { ...generationOf(row), documents: heldBy(database, row) };
      }),
    keep: (documents) => transaction(() => keep(database, documents)),
    prepare: (generation, kept) =>
      transaction(() => insert(database, generation, kept ?? keep(database, generation.documents))),
    settle: (number, state, nowMs) =>
      transaction(() => {
        database
          .prepare("UPDATE generations SET state = ?, settled_ms = ? WHERE number = ?")
          .run(state, state === "unconfirmed" ? null : nowMs, number);
        prune(database, number);
      }),
    revertUnsettled: (nowMs) =>
      transaction(() => {
        database
          .prepare(
            "UPDATE generations SET state = 'reverted', settled_ms = ? WHERE state IN ('prepared', 'unconfirmed')",
          )
          .run(nowMs);
      }),
    generations: (limit) =>
      work(() =>
        database
          .prepare("SELECT * FROM generations ORDER BY number DESC LIMIT ?")
          .all(limit)
          .map(generationOf),
      ),
    ids: (rules) => transaction(() => numberRules(database, rules)),
    ruleOf: (id) =>
      work(() => {
        const row = database.prepare("SELECT policy, path FROM rules WHERE id = ?").get(id);
        return row === undefined ? undefined : { policy: String(row["policy"]), path: String(row["path"]) };
      }),
    close: () => database.close(),
  };
}

type Row = Record<string, SQLOutputValue>;

function generationOf(row: Row): StoredGeneration {
  return {
    number: Number(row["number"]),
    state: row["state"] as GenerationState,
    appliedMs: Number(row["applied_ms"]),
    settledMs: row["settled_ms"] === null ? undefined : Number(row["settled_ms"]),
    management: row["management"] === 1,
    pin: row["pin"] === 1,
  };
}

function heldBy(database: DatabaseSync, { number }: Row): StoredDocument[] {
  return database
    .prepare(
      "SELECT documents.* FROM holdings JOIN documents ON id = document WHERE generation = ? ORDER BY name, kind",
    )
    .all(number as number)
    .map((row) => ({
      kind: String(row["kind"]),
      name: String(row["name"]),
      text: String(row["text"]),
      audit: row["audit"] === 1,
      appliedMs: Number(row["applied_ms"]),
    }));
}

/** @returns their rows, in their order; what was stored before has one already. */
function keep(database: DatabaseSync, documents: readonly StoredDocument[]): number[] {
  const find = database.prepare(
    "SELECT id FROM documents WHERE kind = ? AND name = ? AND text = ? AND audit = ? AND applied_ms = ?",
  );
  const add = database.prepare(
    "INSERT INTO documents (kind, name, text, audit, applied_ms) VALUES (?, ?, ?, ?, ?)",
  );
  return documents.map(({ kind, name, text, audit, appliedMs }) => {
    const values = [kind, name, text, Number(audit), appliedMs] as const;
    return Number(find.get(...values)?.["id"] ?? add.run(...values).lastInsertRowid);
  });
}

function insert(
  database: DatabaseSync,
  { appliedMs, management, pin }: Parameters<PolicyStore["prepare"]>[0],
  documents: readonly number[],
): number {
  const { lastInsertRowid } = database
    .prepare("INSERT INTO generations (state, applied_ms, management, pin) VALUES ('prepared', ?, ?, ?)")
    .run(appliedMs, Number(management), Number(pin));
  database
    .prepare("INSERT INTO holdings SELECT ?, value FROM json_each(?)")
    .run(lastInsertRowid, JSON.stringify(documents));
  return Number(lastInsertRowid);
}

function numberRules(database: DatabaseSync, rules: readonly RuleContent[]): number[] {
  const latest = database.prepare("SELECT max(number) AS number FROM generations").get();
  const generation = Number(latest?.["number"] ?? 0) + 1;
  const find = database.prepare(
    "UPDATE rules SET generation = ? WHERE policy = ? AND path = ? AND content = ? RETURNING id",
  );
  const add = database.prepare("INSERT INTO rules (policy, path, content, generation) VALUES (?, ?, ?, ?)");
  return rules.map(({ policy, path, content }) => {
    const known = find.get(generation, policy, path, content);
    return Number(known?.["id"] ?? add.run(policy, path, content, generation).lastInsertRowid);
  });
}

/** The generation in force stays, however many others were tried after it. */
function prune(database: DatabaseSync, newest: number): void {
  const confirmed = "SELECT max(number) FROM generations WHERE state = 'confirmed'";
  database
    .prepare(`DELETE FROM generations WHERE number <= ? AND number < (${confirmed})`)
    .run(newest - KEPT_GENERATIONS);
  database.exec("DELETE FROM documents WHERE id NOT IN (SELECT document FROM holdings)");
  database
    .prepare(`DELETE FROM rules WHERE generation <= ? AND generation < (${confirmed}) AND id > ?`)
    .run(newest - KEPT_MEANINGS, SESSION_ID);
}
