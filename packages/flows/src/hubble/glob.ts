/** Names with `*` for any text, as Hubble's filters of domain and node names have them. */

/** Bytes of a domain name, RFC 1035 §2.3.4, with room for a cluster's name before a node's. */
const MAX_LENGTH = 512;

/** @throws RangeError for what no name can match */
export function parseGlob(text: string): string {
  const pattern = text.trim().replace(/\.$/, "").toLowerCase();
  if (pattern === "") throw new RangeError("the pattern is empty");
  if (pattern.length > MAX_LENGTH) throw new RangeError(`the pattern is longer than ${MAX_LENGTH}`);
  if (!/^[-0-9_a-z.*]+$/.test(pattern)) throw new RangeError(`"${text}" has characters that no name has`);
  return pattern;
}

/** O(length of pattern × length of name): only the latest star is ever tried again. */
export function matchesGlob(pattern: string, name: string): boolean {
  let at = 0;
  let inPattern = 0;
  let star = -1;
  let afterStar = 0;
  while (at < name.length) {
    const wanted = pattern[inPattern];
    if (wanted === "*") {
      star = inPattern++;
      afterStar = at;
    } else if (wanted === name[at]) {
      inPattern++;
      at++;
    } else if (star >= 0) {
      inPattern = star + 1;
      at = ++afterStar;
    } else return false;
  }
  while (pattern[inPattern] === "*") inPattern++;
  return inPattern === pattern.length;
}
