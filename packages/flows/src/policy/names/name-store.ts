/**
 * Names and what was learned by them, across restarts. A selector's number never comes to mean another name, so that
 * addresses which the kernel holds by numbers stay right from one policy to the next.
 */
import { databaseError, openDatabase } from "@x0tta6bl4/core";
import { NAME_PEER, type NameEntry } from "../tables.ts";
import type { AdmittedAddress } from "./contract.ts";

const migrations: readonly string[] = [
  `
  CREATE TABLE names (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('name', 'pattern')),
    text TEXT NOT NULL,
    UNIQUE (kind, text)
  ) STRICT;

  CREATE TABLE admitted (
    address BLOB NOT NULL,
    name INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    PRIMARY KEY (address, name)
  ) WITHOUT ROWID, STRICT;
  `,
];

/** The kernel's clock and ours are read one after the other. */
const JITTER_MS = 1500;

export interface NameStore {
  /** Gives one where there is none. */
  numberOf(kind: NameEntry["kind"], text: string): number;
  /** @param peer NAME_PEER and a number */
  selectorOf(peer: number): Pick<NameEntry, "kind" | "text"> | undefined;
  /** Puts these in the place of what was saved. */
  save(addresses: readonly AdmittedAddress[]): void;
  /** What was saved and still holds. */
  saved(nowMs: number): AdmittedAddress[];
  close(): void;
}

/** @throws X0_CORE_DATABASE_UNUSABLE and the other errors of core's database */
export function openNameStore(path: string): NameStore {
  const database = openDatabase({ path, migrations });
  const work = <T>(what: () => T): T => {
    try {
      return what();
    } catch (error) {
      throw databaseError(path, error);
    }
  };
  const find = database.prepare("SELECT number FROM names WHERE kind = ? AND text = ?");
  const give = database.prepare("INSERT INTO names (kind, text) VALUES (?, ?)");
  const look = database.prepare("SELECT kind, text FROM names WHERE number = ?");
  const put = database.prepare("INSERT OR REPLACE INTO admitted VALUES (?, ?, ?)");
  const remove = database.prepare("DELETE FROM admitted WHERE address = ? AND name = ?");
  const all = database.prepare("SELECT address, name, until_ms FROM admitted ORDER BY address, name");
  const numbers = new Map<string, number>();
  /** What the file holds: address and number → until. */
  const held = new Map<string, number>();
  for (const row of work(() => all.all()))
    held.set(keyOf(row["address"] as Uint8Array, Number(row["name"])), Number(row["until_ms"]));

  return {
    numberOf(kind, text) {
      const key = `${kind} ${text}`;
      const known = numbers.get(key);
      if (known !== undefined) return known;
      const number = work(() =>
        Number(find.get(kind, text)?.["number"] ?? give.run(kind, text).lastInsertRowid),
      );
      numbers.set(key, number);
      return number;
    },
    selectorOf(peer) {
      const row = work(() => look.get(peer - NAME_PEER));
      if (row === undefined) return undefined;
      return { kind: row["kind"] as NameEntry["kind"], text: String(row["text"]) };
    },
    save: (addresses) =>
      work(() => {
        const gone = new Set(held.keys());
        database.exec("BEGIN");
        try {
          for (const { address, peers } of addresses)
            for (const { peer, untilMs } of peers) {
              const key = keyOf(address, peer - NAME_PEER);
              gone.delete(key);
              const before = held.get(key);
              if (before !== undefined && Math.abs(before - untilMs) < JITTER_MS) continue;
              put.run(address, peer - NAME_PEER, Math.round(untilMs));
              held.set(key, untilMs);
            }
          for (const key of gone) {
            const { address, number } = partsOf(key);
            remove.run(address, number);
            held.delete(key);
          }
          database.exec("COMMIT");
        } catch (error) {
          if (database.isTransaction) database.exec("ROLLBACK");
          throw error;
        }
      }),
    saved: (nowMs) =>
      [...held].flatMap(([key, untilMs]): AdmittedAddress[] => {
        if (untilMs <= nowMs) return [];
        const { address, number } = partsOf(key);
        return [{ address, peers: [{ peer: NAME_PEER + number, untilMs }] }];
      }),
    close: () => database.close(),
  };
}

function keyOf(address: Uint8Array, number: number): string {
  return `${Buffer.from(address).toString("hex")} ${number}`;
}

function partsOf(key: string): { readonly address: Uint8Array; readonly number: number } {
  const [address = "", number = ""] = key.split(" ");
  return { address: new Uint8Array(Buffer.from(address, "hex")), number: Number(number) };
}
