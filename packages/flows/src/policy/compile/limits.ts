/** Entries of one table: it takes some 100 MB of kernel memory then. */
export const MAX_ENTRIES = 1_000_000;

/**
 * Pairs of a rule and a peer that it selects, for each entry allowed: more are rules that never decide anything, and
 * take 100 MB here.
 */
export const MEETINGS_PER_ENTRY = 4;

/** What one more look-up a connection must save, in entries, before a peer's rules are split between two numbers. */
export const MIN_SAVING = 1024;
