/** ClientHello and ServerHello of TLS: RFC 8446 §4.1, RFC 6066 §3 (server name), RFC 9849 (ECH). */
import { escapeByte, lowerCase } from "./text.ts";

/** What one hello may ask of the reader. */
export const helloLimits = {
  /** Extensions read: browsers send about 20, IANA has fewer than 70. */
  extensions: 128,
  /** Bytes of a server name: a DNS name in text form has at most 253. */
  serverNameBytes: 255,
  /** Versions read: there are six, and GREASE. */
  versions: 16,
} as const;

export interface ClientHello {
  /** SNI, the outer one with ECH; lower case, as text. */
  readonly serverName: string | null;
  /** It carries the outer extension of ECH (also when only as GREASE: that cannot be told apart). */
  readonly encryptedHello: boolean;
  /** As offered, without GREASE; 0x0304 is TLS 1.3. Empty where it was cut before they could be told. */
  readonly versions: readonly number[];
}

export const handshakeType = { clientHello: 1, serverHello: 2 } as const;

const extension = { serverName: 0, supportedVersions: 43, encryptedHello: 0xfe0d } as const;
/** @param body behind the handshake header; where it is cut, what came before the cut is told. */
export function parseClientHello(body: Uint8Array): ClientHello | undefined {
  if (body.length < 35) return undefined;
  const legacyVersion = u16(body, 0);
  if (legacyVersion >>> 8 !== 3) return undefined;
  let at = 35 + (body[34] as number);
  at += at + 2 <= body.length ? 2 + u16(body, at) : body.length;
  at += 1 + (body[at] ?? 0);
  let serverName: string | null = null;
  let encryptedHello = false;
  let versions: readonly number[] | undefined;
  const isWhole = eachExtension(body, at, (type, start, end) => {
    if (type === extension.serverName) serverName = readServerName(body, start, end);
    else if (type === extension.encryptedHello) encryptedHello = body[start] === 0;
    else if (type === extension.supportedVersions) versions = readVersions(body, start, end);
  });
  return { serverName, encryptedHello, versions: versions ?? (isWhole ? [legacyVersion] : []) };
}

/**
 * The version that the server chose, 0x0304 for TLS 1.3; undefined if it is none, or was cut before it could be told. A request to say hello again has the
 * same form, and names the version as the hello that follows must (RFC 8446 §4.1.4).
 */
export function chosenVersion(body: Uint8Array): number | undefined {
  if (body.length < 35) return undefined;
  const legacyVersion = u16(body, 0);
  if (legacyVersion >>> 8 !== 3) return undefined;
  let version: number | undefined;
  // Behind the session id: cipher suite and compression.
  const isWhole = eachExtension(body, 35 + (body[34] as number) + 3, (type, start, end) => {
    if (type === extension.supportedVersions && end - start === 2) version = u16(body, start);
  });
  return version ?? (isWhole ? legacyVersion : undefined);
}

/** Calls `visit` for each extension that is there whole. @returns whether all are; old hellos have none. */
function eachExtension(
  body: Uint8Array,
  at: number,
  visit: (type: number, start: number, end: number) => void,
): boolean {
  if (at + 2 > body.length) return at === body.length;
  const last = at + 2 + u16(body, at);
  const there = Math.min(body.length, last);
  let start = at + 6;
  for (let count = 0; start <= there && count < helloLimits.extensions; count++) {
    const end = start + u16(body, start - 2);
    if (end > there) return false;
    visit(u16(body, start - 4), start, end);
    start = end + 4;
  }
  return last <= body.length;
}

/** A list of names, of which only type 0 (a host's) exists and only one may be there. */
function readServerName(body: Uint8Array, start: number, end: number): string | null {
  if (end - start < 5 || body[start + 2] !== 0) return null;
  const length = u16(body, start + 3);
  if (length === 0 || length > helloLimits.serverNameBytes || start + 5 + length > end) return null;
  let name = "";
  for (let at = start + 5; at < start + 5 + length; at++) name += escapeByte(lowerCase(body[at] as number));
  return name;
}

function readVersions(body: Uint8Array, start: number, end: number): readonly number[] {
  const versions: number[] = [];
  const last = Math.min(end, start + 1 + (body[start] ?? 0));
  for (let at = start + 1; at + 2 <= last && versions.length < helloLimits.versions; at += 2) {
    const version = u16(body, at);
    if (!isGrease(version)) versions.push(version);
  }
  return versions;
}

/** Values without meaning that keep servers tolerant: RFC 8701. */
function isGrease(value: number): boolean {
  return (value & 0x0f0f) === 0x0a0a && value >>> 8 === (value & 0xff);
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}
