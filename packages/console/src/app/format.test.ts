import { expect, test } from "vitest";
import {
  absolute,
  ago,
  bytes,
  bytesPerSecond,
  clockLeft,
  clockMs,
  count,
  duration,
  exact,
  latency,
  socketAddress,
} from "./format.ts";

test.each([
  [0, "0 B"],
  [74, "74 B"],
  [999, "999 B"],
  [1000, "1.00 kB"],
  [84_512, "84.5 kB"],
  [999_499, "999 kB"],
  [999_999, "1.00 MB"],
  [1_840_000, "1.84 MB"],
  [52.5, "52.5 B"],
  [999.7, "1.00 kB"],
  [3e18, "3000 PB"],
])("%d bytes read %s", (value, text) => {
  expect(bytes(value)).toBe(text);
});

test("counts and rates carry their unit", () => {
  expect(count(999)).toBe("999");
  expect(count(14_700)).toBe("14.7 k");
  expect(bytesPerSecond(1_234_567)).toBe("1.23 MB/s");
});

test.each([
  [0.0853, "85.3 µs"],
  [0.46, "0.460 ms"],
  [21.44, "21.4 ms"],
  [120, "120 ms"],
  [1500, "1.50 s"],
])("%d ms of latency read %s", (ms, text) => {
  expect(latency(ms)).toBe(text);
});

test("the exact value keeps every digit", () => {
  expect(exact(84_512, "B")).toBe("84 512 B");
  expect(exact(1_234_567.891)).toBe("1 234 567.891");
  expect(exact(12)).toBe("12");
});

test.each([
  [0, "0 ms"],
  [250.4, "250 ms"],
  [1000, "1.00 s"],
  [12_340, "12.3 s"],
  [59_960, "1 min"],
  [90_000, "1 min 30 s"],
  [7_500_000, "2 h 5 min"],
  [90_000_000, "1 d 1 h"],
])("%d ms read %s", (ms, text) => {
  expect(duration(ms)).toBe(text);
});

test("how long ago", () => {
  expect(ago(400)).toBe("just now");
  expect(ago(27_900)).toBe("27 s ago");
  expect(ago(780_000)).toBe("13 min ago");
});

test("a time names the viewer's zone and UTC", () => {
  const at = Date.UTC(2026, 0, 31, 2, 4, 20, 912);
  expect(absolute(at)).toMatch(
    /^2026-0[12]-\d\d \d\d:\d\d:20\.912 [+−]\d\d:\d\d, 2026-01-31T02:04:20\.912Z$/,
  );
  expect(clockMs(at)).toMatch(/^\d\d:\d\d:20\.912$/);
});

test("IPv6 sockets are bracketed; a protocol without ports shows the address", () => {
  expect(socketAddress({ ip: "10.0.0.1", port: 443 })).toBe("10.0.0.1:443");
  expect(socketAddress({ ip: "::1", port: 443 })).toBe("[::1]:443");
  expect(socketAddress({ ip: "::1", port: 0 })).toBe("::1");
});

test.each([
  [0, "0:00"],
  [1, "0:01"],
  [1000, "0:01"],
  [59_001, "1:00"],
  [65_000, "1:05"],
  [3_600_000, "1:00:00"],
  [86_399_000, "23:59:59"],
])("%d ms are left: %s", (ms, text) => {
  expect(clockLeft(ms)).toBe(text);
});
