/** IP addresses as the kernel side keeps them: 16 bytes, IPv4 as `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2). */

const mappedPrefix = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] as const;

/** @param at where its 16 bytes begin. */
export function isMappedIPv4(bytes: Uint8Array, at = 0): boolean {
  for (let index = 0; index < 12; index++) if (bytes[at + index] !== mappedPrefix[index]) return false;
  return true;
}

/** @returns 16 bytes, or undefined if the text is no address. Zone ids (`%eth0`) are not accepted. */
export function parseAddress(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(16);
  if (!text.includes(":")) {
    bytes.set(mappedPrefix);
    return parseIPv4(text, bytes, 12) ? bytes : undefined;
  }
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] as string, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1] as string, true) : new Uint8Array(0);
  if (head === undefined || tail === undefined) return undefined;
  const size = head.length + tail.length;
  if (halves.length === 1 ? size !== 16 : size > 14) return undefined;
  bytes.set(head, 0);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

/** @param bytes 16 bytes. @returns dotted decimal for IPv4, else the canonical form of RFC 5952. */
export function formatAddress(bytes: Uint8Array): string {
  if (isMappedIPv4(bytes)) return `${bytes[12]}.${bytes[13]}.${bytes[14]}.${bytes[15]}`;
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  let zerosAt = -1;
  let zeros = 1;
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (end < 8 && groups[end] === 0) end++;
    if (end - start > zeros) {
      zerosAt = start;
      zeros = end - start;
    }
  }
  const hex = groups.map((group) => group.toString(16));
  if (zerosAt < 0) return hex.join(":");
  return `${hex.slice(0, zerosAt).join(":")}::${hex.slice(zerosAt + zeros).join(":")}`;
}

function parseIPv4(text: string, into: Uint8Array, at: number): boolean {
  const parts = text.split(".");
  if (parts.length !== 4) return false;
  return parts.every((part, index) => {
    into[at + index] = Number(part);
    return /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255;
  });
}

function parseGroups(text: string, mayEndInIPv4: boolean): Uint8Array | undefined {
  if (text === "") return new Uint8Array(0);
  const groups = text.split(":");
  if (groups.length > 8) return undefined;
  const bytes: number[] = [];
  for (const [index, group] of groups.entries()) {
    if (mayEndInIPv4 && index === groups.length - 1 && group.includes(".")) {
      const dotted = new Uint8Array(4);
      if (!parseIPv4(group, dotted, 0)) return undefined;
      bytes.push(...dotted);
    } else {
      if (!/^[0-9A-Fa-f]{1,4}$/.test(group)) return undefined;
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    }
  }
  return Uint8Array.from(bytes);
}
