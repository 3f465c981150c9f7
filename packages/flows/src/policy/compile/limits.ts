/** Entries of one table: it takes some 100 MB of kernel memory then. */
export const MAX_ENTRIES = 1_000_000;

/** Pairs of a rule and a peer that it selects, before rules that never decide are left out: 100 MB here. */
export const MAX_MEETINGS = 4_000_000;

/** What one more look-up a connection must save, in entries, before a peer's rules are split between two numbers. */
export const MIN_SAVING = 1024;
