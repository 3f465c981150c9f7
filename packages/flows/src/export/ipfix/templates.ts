/** A template for each kind of flow, and the set that announces them all (RFC 7011 §3.4). */
import { type Field, fieldsOf, KINDS, kindOf } from "./elements.ts";
import type { Way } from "./way.ts";
import { FIRST_TEMPLATE, setOf, TEMPLATE_SET } from "./wire.ts";

/** "Private enterprise number" of reverse elements, RFC 5103 §6.1. */
const REVERSE = 29_305;
/** Set in an element's number where an enterprise number follows. */
const ENTERPRISE = 0x8000;

export interface Template {
  readonly id: number;
  readonly recordBytes: number;
  write(view: DataView, at: number, way: Way): void;
}

export interface Templates {
  of(way: Way): Template;
  readonly announcement: Uint8Array;
}

/** @param fields names of the elements to send; all where there are none. */
export function ipfixTemplates(fields: readonly string[], withReverse: boolean): Templates {
  const isKept = ({ name, reverse }: Field): boolean =>
    (fields.length === 0 || fields.includes(name)) && (reverse === undefined || withReverse);
  const kept = Array.from({ length: KINDS }, (_, kind) => fieldsOf(kind).filter(isKept));
  const templates = kept.map((list, kind) => templateOf(FIRST_TEMPLATE + kind, list));
  return {
    of: (way) => templates[kindOf(way)] as Template,
    announcement: templateSet(kept),
  };
}

function templateOf(id: number, fields: readonly Field[]): Template {
  return {
    id,
    recordBytes: fields.reduce((sum, { bytes }) => sum + bytes, 0),
    write(view, at, way) {
      let next = at;
      for (const field of fields) {
        field.put(view, next, way);
        next += field.bytes;
      }
    },
  };
}

function templateSet(kinds: readonly (readonly Field[])[]): Uint8Array {
  const words: number[] = [];
  for (const [kind, fields] of kinds.entries()) {
    // A mask may leave nothing of a kind; a template without fields would withdraw it (RFC 7011 §8.1).
    if (fields.length === 0) continue;
    words.push(FIRST_TEMPLATE + kind, fields.length);
    for (const { id, bytes, reverse } of fields)
      words.push(...(reverse ? [ENTERPRISE | id, bytes, 0, REVERSE] : [id, bytes]));
  }
  return setOf(TEMPLATE_SET, words);
}
