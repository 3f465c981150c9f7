/** What the policy part and the capturing thread tell each other of names. */

/** From when on answers count, and for how long. */
export interface NameSettings {
  /** 16 bytes each: whose answers count. */
  readonly resolvers: readonly Uint8Array[];
  /** An address is admitted for at least and at most so long, whatever its record says. */
  readonly shortestSeconds: number;
  readonly longestSeconds: number;
}

/** The kernel's map has room for so many. */
export const MOST_RESOLVERS = 128;

/** An address of the world and whom it is admitted for. */
export interface AdmittedAddress {
  /** 16 bytes. */
  readonly address: Uint8Array;
  readonly peers: readonly {
    /** NAME_PEER and the selector's number. */
    readonly peer: number;
    /** Unix. */
    readonly untilMs: number;
  }[];
}

export interface AdmittedAddresses {
  /** Grows with each change. */
  readonly version: number;
  readonly addresses: readonly AdmittedAddress[];
}

/** Counted since the agent's start. */
export interface NameFigures {
  /** For selected names, to resolvers. */
  readonly queries: number;
  /** To these. */
  readonly answers: number;
  /** Addresses, each time that one was. */
  readonly admitted: number;
  /** Queries for selected names to others than resolvers. */
  readonly strangers: number;
  /** Answers for selected names that belong to no query. */
  readonly unasked: number;
  readonly malformed: number;
  /** No room for an address, or for one more name of it. */
  readonly full: number;
  /** Addresses that are admitted, as of the latest look. */
  readonly addresses: number;
  /** Open connections to resolvers over TLS or HTTPS, where no answer can be seen. */
  readonly encrypted: number;
}
