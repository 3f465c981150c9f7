/** Reading a tree by names and types. Whatever is not as it must be is told with its path, and answered by undefined. */
import { nearest } from "@x0tta6bl4/core";
import type { Report, Severity } from "./problem.ts";
import { type Position, scalarKind, type Tree } from "./tree.ts";

/** A value, and how to get there. */
export interface Field {
  readonly tree: Tree;
  readonly path: string;
  readonly document: number;
  readonly report: Report;
}

/** What a map may hold: `read`, or why it is not supported. */
export type Schema = Readonly<
  Record<string, "read" | { readonly unsupported: string; readonly hint?: string }>
>;

export function tell(
  { document, path, report, tree }: Field,
  severity: Severity,
  message: string,
  hint?: string,
  at: Position = tree,
): undefined {
  const { line, column } = at;
  report.add({ severity, document, line, column, path, message, ...(hint === undefined ? {} : { hint }) });
}

export const malformed = (field: Field, message: string, hint?: string): undefined =>
  tell(field, "malformed", message, hint);
export const unsupported = (field: Field, message: string, hint?: string): undefined =>
  tell(field, "unsupported", message, hint);
export const warn = (field: Field, message: string, hint?: string): undefined =>
  tell(field, "warning", message, hint);

/** The fields of a map that are read. Those that are not are told, as is what nobody knows. */
export function fieldsOf(field: Field, schema: Schema): Map<string, Field> | undefined {
  const entries = entriesOf(field);
  if (entries === undefined) return undefined;
  const fields = new Map<string, Field>();
  for (const [name, child] of entries) {
    const known = Object.hasOwn(schema, name) ? schema[name] : undefined;
    if (known === undefined) {
      const meant = nearest(name.slice(0, 64), Object.keys(schema));
      malformed(
        child,
        "Cilium has no such field here",
        meant === undefined ? `known are ${Object.keys(schema).join(", ")}` : `did you mean ${meant}?`,
      );
    } else if (known !== "read") unsupported(child, known.unsupported, known.hint);
    else fields.set(name, child);
  }
  return fields;
}

/** All entries of a map, whatever their names; null is refused as in `textOf`. */
export function entriesOf(field: Field): [string, Field][] | undefined {
  const { tree, path, report } = field;
  if (tree.kind !== "map") return wrongType(field, "a map of fields");
  return tree.entries.flatMap(({ key, value, line, column }): [string, Field][] =>
    report.visit()
      ? [
          [
            key,
            { ...field, path: joined(path, key), tree: isEmpty(value) ? { ...value, line, column } : value },
          ],
        ]
      : [],
  );
}

const isEmpty = (tree: Tree): boolean => tree.kind === "scalar" && tree.text === "";

function joined(path: string, key: string): string {
  const name = /^[\w-]{1,64}$/.test(key)
    ? key
    : JSON.stringify(key.length > 64 ? `${key.slice(0, 64)}…` : key);
  return path === "" ? name : `${path}.${name}`;
}

export function itemsOf(field: Field): Field[] | undefined {
  const { tree, path, report } = field;
  if (tree.kind !== "list") return wrongType(field, "a list");
  return tree.items.flatMap((item, index) =>
    report.visit() ? [{ ...field, path: `${path}[${index}]`, tree: item }] : [],
  );
}

export function textOf(field: Field): string | undefined {
  const { tree } = field;
  if (tree.kind === "scalar" && scalarKind(tree.text, tree.plain) === "text") return tree.text;
  return wrongType(field, "text");
}

export function flagOf(field: Field): boolean | undefined {
  const { tree } = field;
  if (tree.kind === "scalar" && scalarKind(tree.text, tree.plain) === "flag")
    return tree.text.toLowerCase() === "true";
  return wrongType(field, "true or false");
}

/** A whole number. */
export function numberOf(field: Field, least: number, most: number): number | undefined {
  const { tree } = field;
  if (
    tree.kind !== "scalar" ||
    scalarKind(tree.text, tree.plain) !== "number" ||
    !/^[-+]?\d+$/.test(tree.text)
  )
    return wrongType(field, "a whole number");
  const number = Number(tree.text);
  if (number >= least && number <= most) return number;
  return malformed(field, `${shown(tree.text)} is not from ${least} to ${most}`);
}

function wrongType(field: Field, wanted: string): undefined {
  const { tree } = field;
  if (tree.kind !== "scalar") return malformed(field, `must be ${wanted}, not a ${tree.kind}`);
  const kind = scalarKind(tree.text, tree.plain);
  if (kind === "null")
    return malformed(
      field,
      `must be ${wanted}, but nothing stands there`,
      "leave the field out, or write [] or {} where that is meant",
    );
  const quote = wanted === "text" && kind !== "text" ? `quote it: "${shown(tree.text)}"` : undefined;
  if (kind === "ambiguous")
    return malformed(
      field,
      `${shown(tree.text)} is read differently by YAML 1.1 and 1.2`,
      quote ?? `it must be ${wanted}`,
    );
  const was = { text: "text", flag: "true or false", number: "a number" }[kind];
  return malformed(field, `must be ${wanted}; ${shown(tree.text)} is ${was}`, quote);
}

/** A value from the file within a message. */
export function shown(text: string): string {
  return text.length > 64 ? `${text.slice(0, 64)}…` : text;
}
