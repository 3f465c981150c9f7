import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { openLibc } from "./libc.ts";
import { ownCode } from "./resident.ts";

/** Of the mappings that begin at these addresses. */
function residentKilobytes(addresses: readonly bigint[]): number {
  let isWanted = false;
  let sum = 0;
  for (const line of readFileSync("/proc/self/smaps", "utf8").split("\n")) {
    const [, from] = /^([0-9a-f]+)-[0-9a-f]+ /.exec(line) ?? [];
    if (from !== undefined) isWanted = addresses.includes(BigInt(`0x${from}`));
    else if (isWanted) sum += Number(/^Rss: +(\d+) kB/.exec(line)?.[1] ?? 0);
  }
  return sum;
}

test("code that is not run at the moment leaves, and comes back", () => {
  const libc = openLibc();
  const code = ownCode();
  const addresses = code.map(({ address }) => address);
  const before = residentKilobytes(addresses);
  for (const { address, sizeBytes } of code) expect(libc.unmapPages(address, sizeBytes)).toBe(0);
  expect(residentKilobytes(addresses)).toBeLessThan(before / 2);
  expect(libc.trim()).toBeGreaterThanOrEqual(0);
  expect(JSON.parse(JSON.stringify({ sum: [1, 2].map((one) => one + 1) }))).toEqual({ sum: [2, 3] });
});
