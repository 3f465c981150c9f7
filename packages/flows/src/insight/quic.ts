/**
 * QUIC by its long header, which every connection begins with: RFC 8999 (what all versions share), RFC 9000 §17.2,
 * RFC 9369 (version 2), RFC 9000 §15 (drafts and reserved versions).
 */

export const quicVersion = { negotiation: 0, v1: 1, v2: 0x6b3343cf } as const;

/** Connection ids of the versions known here; RFC 8999 would allow 255. */
const MAX_CONNECTION_ID = 20;
/** Form, version and the lengths of two empty connection ids. */
const SHORTEST = 7;

/** @param bytes of a datagram from its start. @returns the version of a QUIC long header, else undefined. */
export function recogniseQuic(bytes: Uint8Array): number | undefined {
  const form = bytes[0] ?? 0;
  if (form < 0x80 || bytes.length < SHORTEST) return undefined;
  const version =
    (((bytes[1] as number) << 24) |
      ((bytes[2] as number) << 16) |
      ((bytes[3] as number) << 8) |
      (bytes[4] as number)) >>>
    0;
  if (!isVersion(version)) return undefined;
  // The fixed bit; a version negotiation may have anything there (RFC 9000 §17.2.1).
  if (version !== quicVersion.negotiation && (form & 0x40) === 0) return undefined;
  const destination = bytes[5] as number;
  const source = bytes[6 + destination];
  if (destination > MAX_CONNECTION_ID || source === undefined || source > MAX_CONNECTION_ID) return undefined;
  const rest = bytes.length - (7 + destination + source);
  // Behind the ids of a negotiation: versions of four bytes, at least one.
  const isLongEnough = version === quicVersion.negotiation ? rest >= 4 && rest % 4 === 0 : rest > 0;
  return isLongEnough ? version : undefined;
}

function isVersion(version: number): boolean {
  const isDraft = version >= 0xff00_0011 && version <= 0xff00_0022;
  const isReserved = (version & 0x0f0f_0f0f) === 0x0a0a_0a0a;
  return (
    isDraft ||
    isReserved ||
    version === quicVersion.v1 ||
    version === quicVersion.v2 ||
    version === quicVersion.negotiation
  );
}
