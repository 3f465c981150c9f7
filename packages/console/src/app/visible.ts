/**
 * Text of unknown origin (process names, names from DNS and TLS) as it may be shown: what would move, hide or
 * reorder its neighbours becomes a sign that can be seen, and what is too long is cut.
 */

/** Enough for the longest DNS name (253) and most paths; the rest of a longer text is in the copied JSON. */
export const longestShown = 256;

/** Controls, line and paragraph separators, zero-width and bidirectional controls, tags and noncharacters. */
const unseen = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]/gu;

export function visible(text: string, most: number = longestShown): string {
  const cut = text.length > most ? `${text.slice(0, most - 1)}…` : text;
  return cut.replace(unseen, sign);
}

/** A text of several lines: whole, and its lines stay lines. */
export function visibleText(text: string): string {
  return text.replace(unseen, (character) => (character === "\n" ? character : sign(character)));
}

/** Whether `visible` would show another text. */
export function isVisible(text: string): boolean {
  return visible(text) === text;
}

/** JSON in which nothing is unseen: every reader of JSON gets the same value back. */
export function visibleJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(unseen, (character) =>
    character === "\n"
      ? character
      : Array.from(
          character.split(""),
          (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
        ).join(""),
  );
}

/** U+001B → ␛, U+202E → ⟨202E⟩. */
function sign(character: string): string {
  const code = character.codePointAt(0) as number;
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "␡";
  return `⟨${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}
