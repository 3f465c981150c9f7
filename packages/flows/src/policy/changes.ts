/** What a change of documents leaves, and what it is in names. */
import type { StoredDocument } from "./store/store.ts";

/** Names of documents, sorted. */
export interface Difference {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  readonly unchanged: readonly string[];
}

const keyOf = ({ kind, name }: StoredDocument): string => `${kind} ${name}`;

/** By kind and name the given ones replace those that hold; one that says the same stays as it was applied. */
export function merged(
  holding: readonly StoredDocument[],
  given: readonly StoredDocument[],
): StoredDocument[] {
  const all = new Map(holding.map((document) => [keyOf(document), document]));
  for (const document of given) {
    const before = all.get(keyOf(document));
    if (before === undefined || !saySame(before, document)) all.set(keyOf(document), document);
  }
  return [...all.values()];
}

export function difference(before: readonly StoredDocument[], after: readonly StoredDocument[]): Difference {
  const old = new Map(before.map((document) => [keyOf(document), document]));
  const now = new Set(after.map(keyOf));
  const names = (documents: readonly StoredDocument[]): string[] => documents.map(({ name }) => name).sort();
  const isIn = (document: StoredDocument): boolean => old.has(keyOf(document));
  const isSame = (document: StoredDocument): boolean =>
    saySame(old.get(keyOf(document)) as StoredDocument, document);
  const kept = after.filter(isIn);
  return {
    added: names(after.filter((document) => !isIn(document))),
    changed: names(kept.filter((document) => !isSame(document))),
    unchanged: names(kept.filter(isSame)),
    removed: names(before.filter((document) => !now.has(keyOf(document)))),
  };
}

function saySame(a: StoredDocument, b: StoredDocument): boolean {
  return a.text === b.text && a.audit === b.audit;
}
