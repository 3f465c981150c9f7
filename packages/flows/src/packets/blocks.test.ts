import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { readBlocks } from "./blocks.ts";
import { createPcapngWriter } from "./pcapng.ts";

function file(packets: number): Uint8Array {
  const writer = createPcapngWriter();
  writer.sectionHeader({ application: "test", os: "Linux" });
  writer.interfaceDescription({ linkType: 1, snapLength: 256, name: "eth0" });
  for (let number = 0; number < packets; number++)
    writer.packet({
      interface: 0,
      timestampNs: BigInt(number),
      originalLength: number,
      direction: "in",
      comment: "c".repeat(number % 50),
      head: new Uint8Array(0),
      tail: new Uint8Array(number),
    });
  return writer.take();
}

async function* cut(bytes: Uint8Array, sizes: () => number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; ) {
    const size = sizes();
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const whole = file(200);

test("blocks are the same wherever the chunks end", async () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const random = seededRandom(seed);
    const blocks = await collect(readBlocks(cut(whole, () => 1 + random.below(seed * 100))));
    expect(blocks).toHaveLength(202);
    expect(Buffer.concat(blocks.map((block) => block.bytes)).equals(whole)).toBe(true);
  }
});

test("a last block that is cut is left out", async () => {
  const blocks = await collect(readBlocks(cut(whole.subarray(0, -1), () => 1000)));
  expect(blocks).toHaveLength(201);
});

test("100,000 damaged streams are refused or read, and end", async () => {
  const random = seededRandom(11);
  const small = file(4);
  let refused = 0;
  for (let round = 0; round < 100_000; round++) {
    const bytes = small.slice();
    for (let changes = 1 + random.below(4); changes > 0; changes--)
      bytes[random.below(bytes.length)] = random.below(256);
    try {
      for await (const block of readBlocks(cut(bytes, () => 64))) expect(block.bytes.length % 4).toBe(0);
    } catch (error) {
      expect(error).toMatchObject({ code: "X0_FLOWS_UNEXPECTED_ANSWER" });
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(1000);
});
