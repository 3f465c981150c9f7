import fc from "fast-check";
import { expect, test } from "vitest";
import { readCaptureBytes } from "../replay/capture.ts";
import type { CapturedPacket } from "../replay/pcap.ts";

import { type Block, readBlocks } from "./blocks.ts";
import { blockType, createPcapngWriter, droppedOf, linkType } from "./pcapng.ts";

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

const bytesUpTo = (maxLength: number) => fc.uint8Array({ maxLength });

const packet = fc.record({
  interface: fc.integer({ min: 0, max: 1 }),
  timestampNs: fc.bigInt({ min: 0n, max: 4_000_000_000_000_000_000n }),
  beyond: fc.integer({ min: 0, max: 100_000 }),
  direction: fc.constantFrom("in" as const, "out" as const, "unknown" as const),
  comment: fc.string({ unit: "binary", maxLength: 300 }),
  head: bytesUpTo(16),
  tail: bytesUpTo(2000),
});

test("what is written is what the reader of captures reads", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(packet, { maxLength: 40 }), async (packets) => {
      const writer = createPcapngWriter();
      writer.sectionHeader({ application: "test", os: "Linux" });
      for (const name of ["eth0", "wg0"])
        writer.interfaceDescription({ linkType: linkType.raw, snapLength: 256, name, description: "here" });
      for (const { beyond, ...each } of packets)
        writer.packet({ ...each, originalLength: each.head.length + each.tail.length + beyond });
      writer.statistics({ interface: 1, timestampNs: 5n, received: 9, dropped: 4, delivered: 5 });
      const file = writer.take();
      expect(writer.length).toBe(0);
      const read: CapturedPacket[] = [];
      for await (const each of readCaptureBytes(once(file)))
        read.push({ ...each, data: new Uint8Array(each.data) });
      expect(read).toEqual(
        packets.map((each) => ({
          timestampNs: each.timestampNs,
          linkType: linkType.raw,
          data: Uint8Array.of(...each.head, ...each.tail),
          originalLength: each.head.length + each.tail.length + each.beyond,
          interfaceName: each.interface === 0 ? "eth0" : "wg0",
        })),
      );
      const blocks: Block[] = [];
      for await (const block of readBlocks(once(file))) blocks.push(block);
      expect(blocks.at(-1)?.type).toBe(blockType.interfaceStatistics);
      expect(droppedOf(blocks.at(-1)?.bytes as Buffer)).toBe(4);
    }),
    { numRuns: 200 },
  );
});
