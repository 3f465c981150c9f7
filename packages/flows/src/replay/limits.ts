/** What a capture file may ask of the reader. Each is a bound on memory or on what can be true. */
export const captureLimits = {
  /** Captured bytes of one packet: the greatest snapshot length of tcpdump and Wireshark (MAXIMUM_SNAPLEN). */
  capturedBytes: 262_144,
  /** Bytes of one packet on the wire: Linux' greatest offloaded packet has 524,280 (GSO_MAX_SIZE), doubled. */
  originalBytes: 1_048_576,
  /** A pcapng block that is held whole: the greatest packet plus 64 KiB of options. Others are skipped in pieces. */
  blockBytes: 262_144 + 65_536,
  /** Interfaces of a pcapng section: the old packet block numbers them with 16 bits. */
  interfaces: 65_536,
  /** Options of one interface block: the format defines 18, Wireshark writes at most one of most. */
  options: 256,
  /** Bytes of an interface's name: Linux has 15, Windows' device names about 50; 65,536 of them are held. */
  nameBytes: 256,
  /** Seconds since 1970: the end of the year 9999, behind which a date has no ISO 8601 form of four digits. */
  timestampSeconds: 253_402_300_799,
} as const;
