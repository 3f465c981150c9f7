/** Maps of another version's layout, made with types that say so: the shipped types with their fields moved. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { requireKernel } from "../../../../../test/lab/index.ts";
import { connectionKeyLayout, connectionLayout, flowKeyLayout } from "../../generated/layout.ts";
import { attributes, command, mapAccess } from "../../kernel/bpf.ts";
import { openLibc } from "../../kernel/libc.ts";
import { loadObject } from "../../kernel/load.ts";
import { createMap, type MapOptions } from "../../kernel/map.ts";
import type { MapDefinition } from "../../kernel/object.ts";
import { shippedPrograms } from "../../kernel/programs.ts";
import { carryConnections } from "./carry.ts";
import { SIDE } from "./connections.ts";

const libc = openLibc();
const access = mapAccess(libc);
const NOW = 77;
/** Where the other version keeps the verdict: they are swapped. */
const moved = { verdict: connectionLayout.generation, generation: connectionLayout.verdict };
let closing: DisposableStack;

beforeEach(async (context) => {
  await requireKernel(context, "bpf", "btf");
  closing = new DisposableStack();
});
afterEach(() => closing.dispose());

const memory = (bytes: number) => closing.adopt(libc.allocate(bytes), (allocated) => allocated.free());

function shape(name: string): MapDefinition {
  return shippedPrograms().maps.find((map) => map.name === name) as MapDefinition;
}

function make(options: MapOptions): number {
  return closing.adopt(createMap(libc, options), (map) => void libc.close(map));
}

/** The shipped types, but that `verdict` and `generation` have changed places in a connection. */
function otherTypes(): number {
  const btf = Buffer.from(shippedPrograms().btf);
  const texts = btf.readUInt32LE(4) + btf.readUInt32LE(16);
  const nameAt = (text: string): number => btf.indexOf(`\0${text}\0`, texts, "latin1") + 1 - texts;
  const [generation, verdict, last] = ["generation", "verdict", "last"].map(nameAt) as [
    number,
    number,
    number,
  ];
  const member = (name: number, bits: number): Buffer => {
    const bytes = Buffer.alloc(12);
    bytes.writeUInt32LE(name, 0);
    bytes.writeUInt32LE(bits, 8);
    return bytes;
  };
  let changed = 0;
  for (let at = btf.readUInt32LE(4); at + 36 < texts; at += 4) {
    const names = [0, 12, 24].map((step) => btf.readUInt32LE(at + step));
    if (names.join() !== [generation, verdict, last].join()) continue;
    if ([8, 20, 32].map((step) => btf.readUInt32LE(at + step)).join() !== "0,32,64") continue;
    // Members of a struct stand in the order of their places.
    member(verdict, 0).copy(btf, at, 0, 4);
    member(generation, 32).copy(btf, at + 12, 0, 4);
    changed++;
  }
  expect(changed).toBe(1);
  const content = memory(btf.length);
  content.bytes.set(btf);
  const { bytes, view } = attributes(32);
  view.setBigUint64(0, content.address, true);
  view.setUint32(16, btf.length, true);
  const fd = libc.bpf(command.btfLoad, bytes);
  expect(fd).toBeGreaterThan(0);
  return closing.adopt(fd, (opened) => void libc.close(opened));
}

function remembered(port: number): Uint8Array {
  const key = new Uint8Array(connectionKeyLayout.size);
  key.fill(port, flowKeyLayout.address, flowKeyLayout.address + 32);
  key[flowKeyLayout.port] = port;
  key[flowKeyLayout.protocol] = 17;
  key[connectionKeyLayout.endpoint] = 3;
  return key;
}

function put(map: number, key: Uint8Array, at: number, verdict: number): void {
  const [place, value] = [memory(connectionKeyLayout.size), memory(connectionLayout.size)];
  place.bytes.set(key);
  value.bytes.fill(0xee);
  value.view.setUint32(at, verdict, true);
  expect(access.update(map, place, value)).toBe(0);
}

function found(map: number, key: Uint8Array): Uint32Array {
  const [place, value] = [memory(connectionKeyLayout.size), memory(connectionLayout.size)];
  place.bytes.set(key);
  expect(access.lookup(map, place, value)).toBe(0);
  return new Uint32Array(value.bytes.slice().buffer);
}

function ours(): number {
  const loaded = loadObject(libc, shippedPrograms(), { programs: [] });
  closing.defer(() => loaded.close());
  return loaded.maps.connections;
}

test("connections go over field by field, and what we know already stays", () => {
  const from = make({ ...shape("connections"), inner: 0, btf: otherTypes() });
  const to = ours();
  put(from, remembered(1), moved.verdict, (SIDE | 0x4000_0007) >>> 0);
  put(from, remembered(2), moved.verdict, 0x4000_0007);
  put(from, remembered(3), moved.verdict, 0x4000_0007);
  put(to, remembered(3), connectionLayout.verdict, 5);
  expect(carryConnections(libc, { from, to }, NOW)).toBe(2);
  expect([...found(to, remembered(1))]).toEqual([0, SIDE, NOW, 0, 0, 0]);
  expect([...found(to, remembered(2))]).toEqual([0, 0, NOW, 0, 0, 0]);
  expect(found(to, remembered(3))[connectionLayout.verdict / 4]).toBe(5);
});

test("a map that says nothing of its types is left", () => {
  const { keyType: _key, valueType: _value, ...untyped } = shape("connections");
  const from = make({ ...untyped, inner: 0 });
  put(from, remembered(1), connectionLayout.verdict, SIDE);
  expect(carryConnections(libc, { from, to: ours() }, NOW)).toBeUndefined();
});
