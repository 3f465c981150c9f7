import { networkInterfaces } from "node:os";
import { expect, test } from "vitest";
import { createLocalAddresses } from "./local-addresses.ts";

test("loopback and the addresses of this machine, nobody else's", () => {
  const isLocal = createLocalAddresses({ nowMs: () => 0, monotonicNs: () => 0n });
  for (const addresses of Object.values(networkInterfaces()))
    for (const { address } of addresses ?? []) expect(isLocal(address)).toBe(true);
  expect(["127.0.0.1", "127.9.9.9", "::1"].map(isLocal)).toEqual([true, true, true]);
  expect(["192.0.2.1", "2001:db8::1", ""].map(isLocal)).toEqual([false, false, false]);
});
