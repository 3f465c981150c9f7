/** YAML as policies use it: maps with text for keys, lists, scalars. Aliases are already followed. */

export interface Position {
  /** From 1. */
  readonly line: number;
  readonly column: number;
}

export type Tree =
  | ({ readonly kind: "map"; readonly entries: readonly Entry[] } & Position)
  | ({ readonly kind: "list"; readonly items: readonly Tree[] } & Position)
  | ({ readonly kind: "scalar"; readonly text: string; readonly plain: boolean } & Position);

export interface Entry extends Position {
  readonly key: string;
  readonly value: Tree;
}

/**
 * What a scalar is. YAML 1.2 rules; `ambiguous` is what Kubernetes' tools, which read YAML 1.1, take for something
 * else: a file must mean the same to both.
 */
export type ScalarKind = "text" | "flag" | "number" | "null" | "ambiguous";

export function scalarKind(text: string, plain: boolean): ScalarKind {
  if (!plain) return "text";
  if (/^(?:~|null|Null|NULL|)$/.test(text)) return "null";
  if (/^(?:true|True|TRUE|false|False|FALSE)$/.test(text)) return "flag";
  if (/^(?:y|yes|on|n|no|off)$/i.test(text)) return "ambiguous";
  if (/^[-+]?(?:0|[1-9]\d*)$/.test(text)) return "number";
  if (/^[-+]?(?:[\d_]+|0x[\da-f_]+|0o?[0-7_]+|0b[01_]+)$/i.test(text)) return "ambiguous";
  if (/^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:e[-+]?\d+)?$/i.test(text)) return "number";
  if (/^(?:[-+]?\.inf|\.nan)$/i.test(text)) return "number";
  return "text";
}
