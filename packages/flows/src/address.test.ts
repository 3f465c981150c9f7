import { isIPv4, isIPv6 } from "node:net";
import fc from "fast-check";
import { expect, test } from "vitest";
import { formatAddress, isMappedIPv4, parseAddress } from "./address.ts";

test.each([
  ["::", "::"],
  ["::1", "::1"],
  ["1::", "1::"],
  ["2001:DB8::00FF", "2001:db8::ff"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["::ffff:10.1.2.3", "10.1.2.3"],
  ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ["255.255.255.255", "255.255.255.255"],
])("%s is written %s (RFC 5952)", (text, canonical) => {
  const bytes = parseAddress(text);
  expect(bytes).toBeDefined();
  expect(formatAddress(bytes!)).toBe(canonical);
});

test.each([
  "",
  "1.2.3",
  "1.2.3.256",
  "01.2.3.4",
  "1.2.3.4.5",
  ":",
  ":::",
  "1::2::3",
  "1:2:3:4:5:6:7",
  "12345::",
])('"%s" is no address', (text) => expect(parseAddress(text)).toBeUndefined());

test("format and parse are inverse, and node:net agrees", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.boolean(), (bytes, sparse) => {
      const address = sparse ? bytes.map((byte) => (byte < 200 ? 0 : byte)) : bytes;
      const text = formatAddress(address);
      expect(isMappedIPv4(address) ? isIPv4(text) : isIPv6(text)).toBe(true);
      expect(parseAddress(text)).toEqual(address);
    }),
  );
});

test("accepts exactly what node:net accepts, without zones", () => {
  const piece = fc.constantFrom("0", "1", "ff", "10.0.0.1", ":", "::", "256", "g", ".", "ffff");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
      const text = pieces.join("");
      expect(parseAddress(text) !== undefined).toBe(isIPv4(text) || isIPv6(text));
    }),
    { numRuns: 5000 },
  );
});
