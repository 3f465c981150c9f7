/**
 * What a block may have, in a few kilobytes: a Bloom filter (B. Bloom 1970) over its addresses, names, processes and
 * service ports (see `keys.ts`). A query for one of them passes by most blocks without reading more; one block in a
 * hundred is read for nothing.
 */
import { crc32 } from "node:zlib";
import type { FlowProcess } from "../flow.ts";
import type { SketchKeys } from "./sketch-keys.ts";

const BITS_A_KEY = 10;
const CHECKSUM_BYTES = 4;

/** How each of the two hashes begins. */
export const FIRST_A = 0x811c9dc5;
export const FIRST_B = 0x9e3779b9;

/** Which keys a sketch has (see `keys.ts`), and how many bits each sets. A file says which of its sketches are which. */
const hashesOf = { 1: 4, 2: 5 } as const;
export type SketchForm = keyof typeof hashesOf;
/** Of those that are written. The first had no prefixes and no protocols. */
export const SKETCH_FORM: SketchForm = 2;

/** Above are the ports that Linux gives to whoever opens a flow: each block has thousands of them. */
const SERVICE_PORTS = 32_768;

/** Two hashes of 32 bits, from which all others follow (Kirsch and Mitzenmacher 2006). */
export type SketchKey = readonly [number, number];

export function addressKey(bytes: Uint8Array): SketchKey {
  let [a, b] = seeds("a");
  for (const byte of bytes) [a, b] = mixed(a, b, byte);
  return [a, b | 1];
}

/** @param bits a multiple of 8. */
export function prefixKey(bytes: Uint8Array, bits: number): SketchKey {
  let [a, b] = mixed(...seeds("x"), bits);
  for (let index = 0; 8 * index < bits; index++) [a, b] = mixed(a, b, bytes[index] as number);
  return [a, b | 1];
}

export function nameKey(name: string): SketchKey {
  return textKey("n", name);
}

export function isServicePort(port: number): boolean {
  return port > 0 && port < SERVICE_PORTS;
}

/** @returns undefined for a port that a sketch does not have. */
export function portKey(port: number): SketchKey | undefined {
  return isServicePort(port) ? textKey("t", String(port)) : undefined;
}

export function protocolKey(protocol: number): SketchKey {
  return textKey("l", String(protocol));
}

/** @returns undefined for a port that a sketch does not have. */
export function serviceKey(protocol: number, port: number): SketchKey | undefined {
  return isServicePort(port) ? textKey("s", `${protocol} ${port}`) : undefined;
}

export function processKey(text: string): SketchKey {
  return textKey("p", text);
}

export function unitKey(unit: string): SketchKey {
  return textKey("u", unit.replace(/\.service$/, ""));
}

export function containerKey(container: string): SketchKey {
  return textKey("c", container.slice(0, 12));
}

export const droppedKey: SketchKey = textKey("d", "");

/** @param verdict index into `verdicts`. */
export function verdictKey(verdict: number): SketchKey {
  return textKey("v", String(verdict));
}

/** A name and all that it is below, each as a filter may ask for it. */
export function nameKeys(name: string): SketchKey[] {
  const lower = name.toLowerCase();
  const keys = [nameKey(lower)];
  for (let dot = lower.indexOf("."); dot >= 0; dot = lower.indexOf(".", dot + 1))
    keys.push(nameKey(lower.slice(dot)));
  return keys;
}

/** Likewise of a process: its id, its name, each end of its path, its unit and container. */
export function processKeys({ pid, comm, executable, unit, container }: FlowProcess): SketchKey[] {
  const keys = [processKey(String(pid)), processKey(comm)];
  if (executable !== null) {
    keys.push(processKey(executable));
    for (let slash = executable.indexOf("/"); slash >= 0; slash = executable.indexOf("/", slash + 1))
      keys.push(processKey(executable.slice(slash + 1)));
  }
  if (unit !== null) keys.push(unitKey(unit));
  if (container !== null) keys.push(containerKey(container));
  return keys;
}

/** As a file has it. */
export interface Sketch {
  readonly form: SketchForm;
  readonly bits: Uint8Array;
}

/** Its checksum stands behind it: a damaged one would hide what is there. */
export function sketchOf({ words, count }: Pick<SketchKeys, "words" | "count">): Uint8Array {
  const bytes = new Uint8Array(Math.max(8, Math.ceil((count * BITS_A_KEY) / 8)) + CHECKSUM_BYTES);
  const sketch = bytes.subarray(0, -CHECKSUM_BYTES);
  const bits = sketch.length * 8;
  for (let key = 0; key < count; key++) {
    const [a, b] = [words[2 * key] as number, words[2 * key + 1] as number];
    for (let hash = 0; hash < hashesOf[SKETCH_FORM]; hash++) {
      const bit = ((a + Math.imul(hash, b)) >>> 0) % bits;
      sketch[bit >> 3] = (sketch[bit >> 3] as number) | (1 << (bit & 7));
    }
  }
  new DataView(bytes.buffer).setUint32(sketch.length, crc32(sketch));
  return bytes;
}

/** The sketch without its checksum. @throws RangeError where that is not its own, or for a form that is not ours */
export function checkedSketch(bytes: Uint8Array, form: number): Sketch {
  const size = bytes.length - CHECKSUM_BYTES;
  const bits = bytes.subarray(0, Math.max(0, size));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (size > 0 && view.getUint32(size) === crc32(bits) && (form === 1 || form === 2)) return { form, bits };
  throw new RangeError("a sketch is damaged");
}

export function mayHave({ form, bits }: Sketch, [a, b]: SketchKey): boolean {
  const size = bits.length * 8;
  for (let hash = 0; hash < hashesOf[form]; hash++) {
    const bit = ((a + Math.imul(hash, b)) >>> 0) % size;
    if (((bits[bit >> 3] as number) & (1 << (bit & 7))) === 0) return false;
  }
  return true;
}

function textKey(kind: string, text: string): SketchKey {
  let [a, b] = seeds(kind);
  for (let index = 0; index < text.length; index++) [a, b] = mixed(a, b, text.charCodeAt(index));
  return [a, b | 1];
}

function seeds(kind: string): [number, number] {
  return mixed(FIRST_A, FIRST_B, kind.charCodeAt(0));
}

function mixed(a: number, b: number, value: number): [number, number] {
  return [mixedA(a, value), mixedB(b, value)];
}

/** How each of the two hashes takes the next value in. */
export function mixedA(hash: number, value: number): number {
  const product = Math.imul(hash ^ value, 0x01000193);
  return product ^ (product >>> 15);
}

export function mixedB(hash: number, value: number): number {
  const product = Math.imul(hash ^ value, 0x85ebca6b);
  return product ^ (product >>> 13);
}
