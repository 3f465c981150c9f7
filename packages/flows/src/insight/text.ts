/**
 * Foreign bytes as text: printable ASCII stays, a backslash is doubled, every other byte becomes `\DDD`, its decimal
 * value (RFC 1035 §5.1). What comes out can be printed on a terminal, in a page or in a log.
 */

export function escapeByte(byte: number): string {
  if (byte === 0x5c) return "\\\\";
  return byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, "0")}`;
}

/** The same of characters: letters of other scripts stay, control, direction and combining characters do not. */
export function escapeText(text: string): string {
  return text.replace(
    /[^\x20-\x7e\xa1-\u02ff\u0370-\u0590\u0900-\u1fff\u2070-\u20cf\u2100-\ud7ff]/g,
    (character) => `\\${String(character.charCodeAt(0)).padStart(3, "0")}`,
  );
}

export function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}

export function upperCase(byte: number): number {
  return byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte;
}

export function isLetter(byte: number): boolean {
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}
