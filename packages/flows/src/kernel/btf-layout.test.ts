import { seededRandom } from "@x0tta6bl4/core";
import { beforeEach, expect, test } from "vitest";
import { requireKernel } from "../../../../test/lab/index.ts";
import { connectionKeyLayout, connectionLayout, flowKeyLayout } from "../generated/layout.ts";
import { mapLayout, readLayouts } from "./btf-layout.ts";
import { openLibc } from "./libc.ts";
import { loadObject } from "./load.ts";
import { createMap } from "./map.ts";
import { shippedPrograms } from "./programs.ts";

beforeEach((context) => requireKernel(context, "bpf", "btf"));

test("a map tells where the fields of its key and value lie", () => {
  const libc = openLibc();
  const { maps, close } = loadObject(libc, shippedPrograms(), { programs: [], maxEntries: { flows: 64 } });
  const layout = mapLayout(libc, maps.connections);
  expect(layout?.key.sizeBytes).toBe(connectionKeyLayout.size);
  expect(layout?.key.fields.get("flow.address")).toEqual({ offset: flowKeyLayout.address, sizeBytes: 32 });
  expect(layout?.key.fields.get("flow.echo")).toEqual({ offset: flowKeyLayout.echo, sizeBytes: 1 });
  expect(layout?.key.fields.get("endpoint")).toEqual({ offset: connectionKeyLayout.endpoint, sizeBytes: 4 });
  expect(layout?.value).toEqual({
    sizeBytes: connectionLayout.size,
    fields: new Map([
      ["generation", { offset: connectionLayout.generation, sizeBytes: 4 }],
      ["verdict", { offset: connectionLayout.verdict, sizeBytes: 4 }],
      ["last", { offset: connectionLayout.last, sizeBytes: 4 }],
      ["pad", { offset: connectionLayout.last + 4, sizeBytes: 4 }],
      ["flow", { offset: connectionLayout.flow, sizeBytes: 8 }],
    ]),
  });
  // Its key is a number.
  expect(mapLayout(libc, maps.policy)).toBeUndefined();
  close();
  const plain = createMap(libc, { type: 1, keyBytes: 4, valueBytes: 4, maxEntries: 1 });
  expect(mapLayout(libc, plain)).toBeUndefined();
  libc.close(plain);
});

test("types that are damaged have a layout within themselves, or none", () => {
  const whole = shippedPrograms().btf;
  const numbers = Array.from({ length: 400 }, (_, index) => index);
  const count = numbers.filter((type) => readLayouts(whole)(type) !== undefined).length;
  expect(count).toBeGreaterThan(20);
  const random = seededRandom(7);
  for (let round = 0; round < 300; round++) {
    const length = random.next() < 0.5 ? whole.length : Math.floor(random.next() * whole.length);
    const damaged = whole.slice(0, length);
    for (let hit = 0; hit < 64 && length > 0; hit++)
      damaged[Math.floor(random.next() * (hit < 8 ? Math.min(64, length) : length))] = Math.floor(
        random.next() * 256,
      );
    const read = readLayouts(damaged);
    for (const type of numbers) {
      const layout = read(type);
      for (const { offset, sizeBytes } of layout?.fields.values() ?? [])
        expect(offset + sizeBytes).toBeLessThanOrEqual(layout?.sizeBytes ?? 0);
    }
  }
});
