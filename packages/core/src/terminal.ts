/** Text that others chose, made fit for a terminal: names of processes, devices, hosts and what they serve. */

const leftAsTheyAre = /[\u007f-\u009f]/g;

/** No escape sequences, no reversed text. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "�");
}

/**
 * A value as JSON on a line of its own: JSON.stringify leaves DEL and the C1 controls as they are, and U+009B begins
 * an escape sequence as ESC [ does.
 */
export function jsonLine(value: unknown): string {
  const text = JSON.stringify(value).replace(
    leftAsTheyAre,
    (character) => `\\u00${character.charCodeAt(0).toString(16)}`,
  );
  return `${text}\n`;
}
