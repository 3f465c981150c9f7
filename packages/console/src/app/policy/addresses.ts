/** Addresses and prefixes as numbers of 128 bits, IPv4 as `::ffff:a.b.c.d`. */

export interface Prefix {
  readonly first: bigint;
  /** 0 to 128: 96 more than written for IPv4. */
  readonly bits: number;
}

const mapped = 0xffff_0000_0000n;

/** Of what the node wrote; undefined for anything else. */
export function addressNumber(text: string): bigint | undefined {
  if (!text.includes(":")) return ipv4Number(text);
  const [head = "", tail, ...more] = text.split("::");
  if (more.length > 0) return undefined;
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...before, ...new Array<string>(missing).fill("0"), ...after];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return groups.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

export function parsePrefix(text: string): Prefix | undefined {
  const [address = "", length = "", ...more] = text.split("/");
  const number = addressNumber(address);
  const bits = Number(length) + (address.includes(":") ? 0 : 96);
  if (number === undefined || more.length > 0 || !/^\d{1,3}$/.test(length) || bits > 128) return undefined;
  const host = BigInt(128 - bits);
  return { first: (number >> host) << host, bits };
}

export function inPrefix(address: bigint, { first, bits }: Prefix): boolean {
  const host = BigInt(128 - bits);
  return address >> host === first >> host;
}

function ipv4Number(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255))
    return undefined;
  return parts.reduce((sum, part) => (sum << 8n) | BigInt(part), 0n) + mapped;
}

function groupsOf(text: string): string[] {
  return text === "" ? [] : text.split(":");
}
