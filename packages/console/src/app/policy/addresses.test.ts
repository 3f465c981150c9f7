import { expect, test } from "vitest";
import { addressNumber, inPrefix, parsePrefix } from "./addresses.ts";

test.each([
  ["10.0.0.1", 0xffff_0a00_0001n],
  ["::", 0n],
  ["::1", 1n],
  ["2001:db8::7", 0x2001_0db8_0000_0000_0000_0000_0000_0007n],
  ["1:2:3:4:5:6:7:8", 0x0001_0002_0003_0004_0005_0006_0007_0008n],
  ["10.0.0", undefined],
  ["10.0.0.256", undefined],
  ["1:2:3", undefined],
  ["1::2::3", undefined],
  ["1:2:3:4:5:6:7:8::", undefined],
  ["<b>::", undefined],
])("%s", (text, number) => {
  expect(addressNumber(text)).toBe(number);
});

test.each([
  ["10.0.0.0/8", "10.255.0.1", true],
  ["10.0.0.0/8", "11.0.0.0", false],
  ["0.0.0.0/0", "192.0.2.1", true],
  ["0.0.0.0/0", "2001:db8::1", false],
  ["2001:db8::/32", "2001:db8:ffff::1", true],
  ["192.0.2.1/32", "192.0.2.1", true],
  ["::/0", "2001:db8::1", true],
])("%s holds %s: %s", (prefix, address, holds) => {
  expect(inPrefix(addressNumber(address)!, parsePrefix(prefix)!)).toBe(holds);
});

test.each(["10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "::/129", "a/8", "10.0.0.0/8/8"])(
  "%s is no prefix",
  (text) => {
    expect(parsePrefix(text)).toBe(undefined);
  },
);
