/**
 * `toFQDNs`: names and patterns of names, as Cilium reads them (pkg/fqdn/matchpattern). Its examples promise more than
 * its expressions do: `*example.org` selects `example.org` and `myexample.org`, not `www.example.org`.
 */
import type { PeerSelector } from "../model.ts";

export type NameSelector = Extract<PeerSelector, { kind: "name" | "pattern" }>;

/** Cilium's longest (pkg/fqdn/matchpattern, MaxFQDNLength); a DNS name has at most 253 characters (RFC 1035). */
export const nameLimit = 255;

/** @returns undefined if it is no name: labels of letters, digits, `-` and `_`, with dots between. */
export function parseName(text: string): NameSelector | undefined {
  if (text.length > nameLimit || !/^(?:[-a-zA-Z0-9_]+\.)*[-a-zA-Z0-9_]+\.?$/.test(text)) return undefined;
  return { kind: "name", name: canonical(text) };
}

/**
 * Several stars are one, except before the first dot: `**.` stands for one label or more. Stars alone are every name.
 * @returns undefined if it is no pattern.
 */
export function parsePattern(text: string): NameSelector | undefined {
  if (text.length > nameLimit || !/^(?:[-a-zA-Z0-9_*]+\.)*[-a-zA-Z0-9_*]+\.?$/.test(text)) return undefined;
  if (/^\*+\.?$/.test(text)) return { kind: "pattern", pattern: "*" };
  const deep = /^\*\*+\./.exec(text)?.[0] ?? "";
  const rest = canonical(text.slice(deep.length).replace(/\*+/g, "*"));
  return { kind: "pattern", pattern: deep === "" ? rest : `**.${rest}` };
}

function canonical(text: string): string {
  return text.toLowerCase().replace(/\.$/, "");
}

/** A name that a pattern selects, and that nobody else is likely to have. */
export function nameOfPattern(pattern: string): string {
  return pattern.replace(/\*+/g, "x");
}

/**
 * @param name lower case, without a final dot; one with other characters than names have is only matched as written.
 * O(|pattern| · |name|), whatever a stranger's answer holds.
 */
export function nameMatches(selector: NameSelector, name: string): boolean {
  if (selector.kind === "name") return selector.name === name;
  const { pattern } = selector;
  const labels = name.split(".");
  if (!labels.every((label) => /^[-a-z0-9_]+$/.test(label))) return false;
  if (pattern === "*") return true;
  const isDeep = pattern.startsWith("**.");
  const wanted = (isDeep ? pattern.slice(3) : pattern).split(".");
  const above = labels.length - wanted.length;
  if (isDeep ? above < 1 : above !== 0) return false;
  return wanted.every((part, index) => labelMatches(part, labels[above + index] as string));
}

/** `*` is any characters, also none. Goes back to the last star only: an earlier one could not do better. */
function labelMatches(pattern: string, label: string): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  for (let index = 0; index < label.length; ) {
    if (pattern[at] === "*") {
      star = at++;
      resume = index;
    } else if (pattern[at] === label[index]) {
      at++;
      index++;
    } else if (star >= 0) {
      at = star + 1;
      index = ++resume;
    } else return false;
  }
  while (pattern[at] === "*") at++;
  return at === pattern.length;
}
