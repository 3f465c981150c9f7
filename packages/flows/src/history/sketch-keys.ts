/**
 * The keys of a block, gathered for its sketch: those of `sketch.ts`, without a pair and a text for each, since a block
 * has thousands of addresses and ports and a busy host writes ten blocks a second.
 */
import { FIRST_A, FIRST_B, mixedA, mixedB, type SketchKey } from "./sketch.ts";

export interface SketchKeys {
  readonly count: number;
  /** Two a key. */
  readonly words: Int32Array;
  add(key: SketchKey): void;
  /** `addressKey` of the 16 bytes that begin there. */
  address(bytes: Uint8Array, at: number): void;
  /** `prefixKey` likewise. */
  prefix(bytes: Uint8Array, at: number, bits: number): void;
  /** `portKey` and `serviceKey` of a service port. */
  port(port: number): void;
  service(protocol: number, port: number): void;
}

const SPACE = 0x20;
const ZERO = 0x30;

export function createSketchKeys(): SketchKeys {
  let words = new Int32Array(1024);
  let count = 0;
  /** The key in the making; in an array, since a variable outside would cost memory each time that it is set. */
  const state = new Int32Array(2);
  const mix = (value: number): void => {
    state[0] = mixedA(state[0] as number, value);
    state[1] = mixedB(state[1] as number, value);
  };
  const begin = (kind: string): void => {
    state[0] = FIRST_A;
    state[1] = FIRST_B;
    mix(kind.charCodeAt(0));
  };
  const decimal = (value: number): void => {
    let scale = 1;
    while (scale * 10 <= value) scale *= 10;
    for (; scale >= 1; scale = Math.floor(scale / 10)) mix(ZERO + (Math.floor(value / scale) % 10));
  };
  const push = (a: number, b: number): void => {
    if (2 * count === words.length) {
      const larger = new Int32Array(2 * words.length);
      larger.set(words);
      words = larger;
    }
    words[2 * count] = a;
    words[2 * count + 1] = b;
    count++;
  };
  const end = (): void => push(state[0] as number, (state[1] as number) | 1);
  const bytesFrom = (bytes: Uint8Array, at: number, size: number): void => {
    for (let index = at; index < at + size; index++) mix(bytes[index] as number);
  };
  return {
    get count() {
      return count;
    },
    get words() {
      return words;
    },
    add: ([a, b]) => push(a, b),
    address(bytes, at) {
      begin("a");
      bytesFrom(bytes, at, 16);
      end();
    },
    prefix(bytes, at, bits) {
      begin("x");
      mix(bits);
      bytesFrom(bytes, at, bits / 8);
      end();
    },
    port(port) {
      begin("t");
      decimal(port);
      end();
    },
    service(protocol, port) {
      begin("s");
      decimal(protocol);
      mix(SPACE);
      decimal(port);
      end();
    },
  };
}
