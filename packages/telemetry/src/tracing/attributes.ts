/**
 * Attributes as a list: key, value, key, value. A key keeps the place at which it came first. Values are checked and
 * copied when they are set, since callers go on using their arrays and objects.
 */
import type { Attributes } from "@opentelemetry/api";
import { DEEPEST_VALUE } from "./limits.ts";

/** A value of an attribute: https://opentelemetry.io/docs/specs/otel/common/#anyvalue */
export type Value = string | number | boolean | null | Uint8Array | readonly Value[] | ValueMap;
export interface ValueMap {
  readonly [key: string]: Value;
}

export type AttributeList = (string | Value)[];

export const outcome = { set: 0, invalid: 1, full: 2, absent: 3 } as const;

/** Sets one. @returns what became of it */
export function setAttribute(
  list: AttributeList,
  key: string,
  value: unknown,
  most: number,
  longest: number,
): number {
  if (value === undefined) return outcome.absent;
  if (typeof key !== "string" || key.length === 0) return outcome.invalid;
  const { length } = list;
  let at = 0;
  while (at < length && list[at] !== key) at += 2;
  if (at === length && length >= 2 * most) return outcome.full;
  const copied = typeof value === "object" ? tried(value, longest) : copyOf(value, longest, 0);
  if (copied === undefined) return outcome.invalid;
  if (at === length) list.push(key, copied);
  else list[at + 1] = copied;
  return outcome.set;
}

/** Sets all of them. @returns how many are not in the list because they are no attributes, or found no room */
export function setAttributes(
  list: AttributeList,
  attributes: Attributes | undefined,
  most: number,
  longest: number,
  isAllowed: (value: unknown) => boolean = () => true,
): number {
  if (typeof attributes !== "object" || attributes === null) return 0;
  let dropped = 0;
  try {
    for (const key in attributes) {
      if (!Object.hasOwn(attributes, key)) continue;
      const value: unknown = attributes[key];
      const became = isAllowed(value) ? setAttribute(list, key, value, most, longest) : outcome.invalid;
      if (became === outcome.invalid || became === outcome.full) dropped++;
    }
  } catch {
    // A getter, or a proxy: what it would have told is not known.
    dropped++;
  }
  return dropped;
}

/** No arrays of mixed types, no maps, no null: an event's attributes. */
export function isSimple(value: unknown): boolean {
  if (!Array.isArray(value)) return isPrimitive(typeof value) || value === undefined;
  const present = value.filter((one) => one !== null && one !== undefined);
  const type = typeof present[0];
  return present.length === 0 || (isPrimitive(type) && present.every((one) => typeof one === type));
}

function isPrimitive(type: string): boolean {
  return type === "string" || type === "number" || type === "boolean";
}

function tried(value: object | null, longest: number): Value | undefined {
  try {
    return copyOf(value, longest, 0);
  } catch {
    return undefined;
  }
}

/** @returns undefined for what is no value */
function copyOf(value: unknown, longest: number, depth: number): Value | undefined {
  switch (typeof value) {
    case "string":
      return value.length <= longest ? value : value.slice(0, longest);
    case "number":
    case "boolean":
      return value;
    case "object":
      return value === null ? null : copyOfObject(value, longest, depth + 1);
    default:
      return undefined;
  }
}

function copyOfObject(value: object, longest: number, depth: number): Value | undefined {
  if (value instanceof Uint8Array) return value.slice(0, Math.min(longest, value.length));
  if (depth > DEEPEST_VALUE) return undefined;
  if (Array.isArray(value)) {
    const copied: Value[] = [];
    for (const element of value) {
      // A hole is an empty value, as in JSON.
      const one = element === undefined ? null : copyOf(element, longest, depth);
      if (one === undefined) return undefined;
      copied.push(one);
    }
    return copied;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return undefined;
  const copied: Record<string, Value> = Object.create(null);
  for (const [key, element] of Object.entries(value)) {
    if (element === undefined) continue;
    const one = copyOf(element, longest, depth);
    if (one === undefined) return undefined;
    copied[key] = one;
  }
  return copied;
}
