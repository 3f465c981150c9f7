import { seededRandom } from "@x0tta6bl4/core";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import type { Flow } from "../flow.ts";
import { readBatch } from "../recording/record.ts";
import { recordTraffic } from "../testing/record-traffic.ts";
import { batchOf } from "../testing/records.ts";
import { BLOCK_ROWS, type Block, liveBlock } from "./block.ts";
import { columnNames, createRows, type Rows, setRow } from "./columns.ts";
import { createDictionaries, type Dictionaries } from "./dictionaries.ts";
import { packBlock } from "./pack.ts";
import type { PackedBlock } from "./packed.ts";
import { planesFor, planeValue, readPlanes, writePlanes } from "./planes.ts";
import { flowsOf } from "./rows.ts";
import { addressKey, checkedSketch, mayHave, nameKey, nameKeys, sketchOf } from "./sketch.ts";
import { createSketchKeys } from "./sketch-keys.ts";
import { unpackBlock } from "./unpack.ts";

const unpack = (packed: PackedBlock): Block =>
  unpackBlock(packed.count, packed.header, (part) => packed[part]);

function pileOf(flows: readonly Flow[]): { rows: Rows; dictionaries: Dictionaries } {
  const dictionaries = createDictionaries();
  const rows = createRows(BLOCK_ROWS);
  const reader = readBatch(batchOf(flows));
  dictionaries.begin(reader.batch);
  for (let index = 0; index < flows.length; index++) setRow(rows, rows.count++, reader, index, dictionaries);
  return { rows, dictionaries };
}

const text = fc.oneof(
  fc.string({ unit: "binary", minLength: 1, maxLength: 30 }),
  fc.constantFrom("\u001b[2J", "\ud800", '"', "\u202e", "__proto__"),
);
const nullable = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null });
const counters = fc.record({ sent: fc.maxSafeNat(), received: fc.nat() });
const process = nullable(
  fc.record({
    pid: fc.nat(),
    comm: text,
    executable: nullable(text),
    cgroup: nullable(text),
    unit: nullable(text),
    container: nullable(text),
  }),
);
const address = fc.oneof(
  fc.ipV4(),
  fc.constantFrom("2001:db8::1", "::1", "fe80::42", "2001:db8:1:2:3:4:5:6", "::"),
);
const port = fc.nat(65_535);
const endpoint = fc.record({ ip: address, port, name: nullable(text) });
const moment = fc.integer({ min: 0, max: 4e12 }).map((ms) => new Date(ms).toISOString());
const microseconds = nullable(fc.nat(4e9).map((count) => count / 1000));
const anyFlow: fc.Arbitrary<Flow> = fc.record({
  id: fc.maxSafeNat().map(String),
  state: fc.constantFrom("active" as const, "ended" as const),
  start: moment,
  end: moment,
  source: endpoint,
  destination: endpoint,
  protocol: fc.constantFrom("tcp", "udp", "sctp", "143"),
  icmp: fc.constant(null),
  direction: fc.constantFrom("ingress" as const, "egress" as const),
  place: fc.constantFrom("local" as const, "forwarded" as const, "loopback" as const),
  netns: fc.nat(2 ** 32 - 1),
  interface: fc.oneof(text, fc.constant("")),
  verdict: fc.constantFrom("forwarded", "audit", "dropped"),
  rule: fc.option(
    fc.record({
      policy: fc.constantFrom("web", "team/db", ""),
      path: fc.constantFrom("spec.ingress[0]", "specs[1].egressDeny[2]"),
    }),
  ),
  bytes: counters,
  packets: counters,
  tcpFlags: fc.constantFrom([], ["SYN"], ["FIN", "SYN", "ACK"], ["RST", "CWR"]),
  cookie: nullable(fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map(String)),
  process,
  peerProcess: process,
  translated: nullable(
    fc.record({ source: fc.record({ ip: address, port }), destination: fc.record({ ip: address, port }) }),
  ),
  application: fc.constantFrom(null, "dns" as const, "tls" as const, "redis" as const),
  tcp: nullable(
    fc.record({
      connectMs: microseconds,
      rttMs: microseconds,
      minRttMs: microseconds,
      retransmits: fc.nat(1e9),
    }),
  ),
  tls: nullable(
    fc.record({
      version: fc.constantFrom(null, "SSL 3.0", "1.0", "1.3", "0x7f1c"),
      serverName: nullable(text),
      encryptedHello: fc.boolean(),
    }),
  ),
  requests: nullable(
    fc.record({ count: fc.integer({ min: 1, max: 1e9 }), errors: fc.nat(1e9), latencyMs: microseconds }),
  ),
  drops: nullable(fc.record({ packets: fc.integer({ min: 1, max: 1e9 }), reason: text })),
});

test("whatever a flow is, it comes back from a block as it was", () => {
  fc.assert(
    fc.property(fc.array(anyFlow, { minLength: 1, maxLength: 40 }), (flows) => {
      const { rows, dictionaries } = pileOf(flows);
      const reader = readBatch(batchOf(flows));
      const told = flows.map((_, index) => ({ ...reader.flow(index), id: `1-${flows[index]?.id}` }));
      const all = flows.map((_, index) => index);
      expect(flowsOf(liveBlock(rows, dictionaries), all, 1)).toEqual(told);
      expect(flowsOf(unpack(packBlock(rows, 0, flows.length, dictionaries)), all, 1)).toEqual(told);
      expect(told).toEqual(flows.map((flow) => ({ ...flow, id: `1-${flow.id}` })));
    }),
    { numRuns: 200 },
  );
});

describe("of real traffic", () => {
  let rows: Rows;
  let dictionaries: Dictionaries;
  let packed: PackedBlock;

  beforeAll(() => {
    const traffic = recordTraffic({ seed: 2, startMs: Date.UTC(2026, 10, 1), flowsPerSecond: 400 });
    dictionaries = createDictionaries();
    rows = createRows(BLOCK_ROWS);
    while (rows.count < BLOCK_ROWS) {
      const reader = readBatch(traffic.next());
      dictionaries.begin(reader.batch);
      for (let index = 0; index < reader.batch.count && rows.count < BLOCK_ROWS; index++)
        if (reader.change(index) === "end") setRow(rows, rows.count++, reader, index, dictionaries);
    }
    packed = packBlock(rows, 0, rows.count, dictionaries);
  });

  test("a whole column equals its values one by one", () => {
    const whole = unpack(packed);
    const single = unpack(packed);
    for (let column = 0; column < columnNames.length; column++) {
      const values = whole.column(column);
      for (let row = 0; row < rows.count; row += 97) expect(single.value(column, row)).toBe(values[row]);
    }
  });

  test("a part of the rows is a block of its own", () => {
    const part = unpack(packBlock(rows, 1000, 1500, dictionaries));
    const indexes = Array.from({ length: 500 }, (_, index) => index);
    const shifted = indexes.map((index) => index + 1000);
    expect(flowsOf(part, indexes, 1)).toEqual(flowsOf(liveBlock(rows, dictionaries), shifted, 1));
  });

  test("a sketch has all that is in the block, and little else", () => {
    const sketch = checkedSketch(packed.sketch, 2);
    const flipped = Uint8Array.from(packed.sketch, (byte, index) => (index === 7 ? byte ^ 4 : byte));
    expect(() => checkedSketch(flipped, 2)).toThrow(RangeError);
    const bytes = new Uint8Array(16);
    const block = unpack(packed);
    for (let index = 0; index < block.addressCount; index++) {
      block.address(index, bytes, 0);
      expect(mayHave(sketch, addressKey(bytes))).toBe(true);
    }
    let wrong = 0;
    for (let index = 0; index < 10_000; index++)
      if (mayHave(sketch, nameKey(`nowhere${index}.example`))) wrong++;
    expect(wrong).toBeLessThan(500);
  });

  test("3,000 mutations either read or are refused; none crashes or takes more than the block's room", () => {
    const random = seededRandom(1);
    const parts = ["dictionaries", "hot", "cold"] as const;
    let refused = 0;
    const mutations = 3000;
    for (let mutation = 0; mutation < mutations; mutation++) {
      const broken = { ...packed };
      const which = random.below(4);
      if (which === 3) broken.header = mutatedText(packed.header, random.below);
      else {
        const part = parts[which] as (typeof parts)[number];
        const bytes = Uint8Array.from(packed[part]);
        for (let hit = 0; hit <= random.below(3); hit++)
          bytes[random.below(bytes.length)] = random.below(256);
        broken[part] = random.below(8) === 0 ? bytes.subarray(0, random.below(bytes.length)) : bytes;
      }
      try {
        const row = random.below(rows.count);
        // What reads in spite of it reads as it was.
        expect(flowsOf(unpack(broken), [row], 1)).toEqual(flowsOf(liveBlock(rows, dictionaries), [row], 1));
      } catch (error) {
        refused++;
        if (error instanceof Error && error.name === "AssertionError") throw error;
        // What the store takes for damage, and no error of our own making.
        const { code } = error as { code?: unknown };
        const isDamage =
          error instanceof RangeError || error instanceof SyntaxError || typeof code === "string";
        if (!isDamage) throw error;
      }
    }
    expect(refused).toBeGreaterThan(mutations / 4);
  });
});

/** A digit, a sign or a bracket becomes another. */
function mutatedText(original: string, below: (bound: number) => number): string {
  const at = below(original.length);
  const piece = '0123456789[]{},:"-.eE'[below(21)] as string;
  return original.slice(0, at) + piece.repeat(below(4)) + original.slice(at + 1);
}

test("planes hold whole numbers up to 2^53, all and one by one", () => {
  const number = fc.oneof(fc.nat(300), fc.nat(), fc.maxSafeNat());
  fc.assert(
    fc.property(fc.array(number, { minLength: 1, maxLength: 50 }), (list) => {
      const values = Float64Array.from(list);
      const planes = planesFor(values);
      const bytes = new Uint8Array(planes * values.length);
      writePlanes(values, values.length, planes, bytes, 0);
      expect([...readPlanes(bytes, 0, values.length, planes)]).toEqual(list);
      expect(list.map((_, index) => planeValue(bytes, 0, values.length, planes, index))).toEqual(list);
    }),
  );
  for (const value of [-1, 0.5, Number.NaN, 2 ** 53])
    expect(() => planesFor(Float64Array.of(value))).toThrow(RangeError);
});

test("a name is found by each domain above it", () => {
  const keys = createSketchKeys();
  for (const key of nameKeys("API.eu.service.example")) keys.add(key);
  const sketch = checkedSketch(sketchOf(keys), 2);
  for (const name of ["api.eu.service.example", ".eu.service.example", ".service.example", ".example"])
    expect(mayHave(sketch, nameKey(name))).toBe(true);
  expect(mayHave(sketch, nameKey("eu.service.example"))).toBe(false);
});
