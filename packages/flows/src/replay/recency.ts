/**
 * A list by last use, in O(1) for every step. A `Map` in insertion order would do with less code, but finding its
 * first entry walks over all entries deleted before it.
 */
export interface Recency<T> {
  readonly oldest: T | undefined;
  /** Puts the item last, whether or not it was in this list. */
  touch(item: T): void;
  remove(item: T): void;
}

export interface Linked<T> {
  older: T | undefined;
  newer: T | undefined;
}

/** An item is in at most one list at a time: its links are its own fields. */
export function recencyList<T extends Linked<T>>(): Recency<T> {
  let oldest: T | undefined;
  let newest: T | undefined;
  function remove(item: T): void {
    if (item.older !== undefined) item.older.newer = item.newer;
    else if (oldest === item) oldest = item.newer;
    if (item.newer !== undefined) item.newer.older = item.older;
    else if (newest === item) newest = item.older;
    item.older = undefined;
    item.newer = undefined;
  }
  return {
    get oldest() {
      return oldest;
    },
    remove,
    touch(item) {
      if (item === newest) return;
      remove(item);
      item.older = newest;
      if (newest === undefined) oldest = item;
      else newest.newer = item;
      newest = item;
    },
  };
}
