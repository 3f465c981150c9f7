/** Words of protocols: only those known beforehand are ever told, so that nothing that a user typed is. */
import { isDigit, isLetter, upperCase } from "./text.ts";

/** What is said of a word that is not known. */
export const OTHER = "OTHER";

export interface Words {
  /** The known word that begins at `at`, in upper case and whatever way it is written; OTHER for any other. */
  at(bytes: Uint8Array, at: number, end: number): string;
}

/** @param list upper case, separated by blanks. @param joins characters beside letters and digits within words. */
export function knownWords(list: string, joins = ""): Words {
  const known = new Set(list.trim().split(/\s+/));
  const longest = Math.max(...[...known].map((word) => word.length));
  const joining = new Set([...joins].map((character) => character.charCodeAt(0)));
  return {
    at(bytes, at, end) {
      const last = Math.min(end, bytes.length, at + longest + 1);
      let word = "";
      for (let index = at; index < last; index++) {
        const byte = bytes[index] as number;
        if (!isLetter(byte) && !isDigit(byte) && !joining.has(byte)) break;
        word += String.fromCharCode(upperCase(byte));
      }
      return known.has(word) ? word : OTHER;
    },
  };
}
