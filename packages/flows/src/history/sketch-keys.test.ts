import fc from "fast-check";
import { expect, test } from "vitest";
import { addressKey, portKey, prefixKey, protocolKey, serviceKey } from "./sketch.ts";
import { createSketchKeys } from "./sketch-keys.ts";

test("gathered keys are those that a query asks for", () => {
  const address = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const port = fc.integer({ min: 1, max: 32_767 });
  const protocol = fc.nat(255);
  fc.assert(
    fc.property(fc.array(fc.tuple(address, port, protocol), { maxLength: 600 }), (all) => {
      const keys = createSketchKeys();
      const wanted = all.flatMap(([bytes, port, protocol]) => {
        const before = new Uint8Array(20);
        before.set(bytes, 4);
        keys.address(before, 4);
        keys.prefix(before, 4, 48);
        keys.port(port);
        keys.service(protocol, port);
        keys.add(protocolKey(protocol));
        const [ofPort, ofService] = [portKey(port), serviceKey(protocol, port)];
        return [
          addressKey(bytes),
          prefixKey(bytes, 48),
          ofPort ?? [],
          ofService ?? [],
          protocolKey(protocol),
        ];
      });
      expect(keys.count).toBe(5 * all.length);
      expect(keys.words.subarray(0, 2 * keys.count)).toEqual(Int32Array.from(wanted.flat()));
    }),
    { numRuns: 50 },
  );
});
