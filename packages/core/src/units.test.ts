import * as fc from "fast-check";
import { expect, test } from "vitest";
import { X0Error } from "./errors.ts";
import { formatBytes, formatCount, parseDuration, parseMoment, parseSize } from "./units.ts";

/** What is wrong with it, as the user reads it. */
function refusal(read: () => unknown): {
  code: string;
  exit: number;
  message: string;
  hint: string | undefined;
} {
  try {
    read();
  } catch (error) {
    if (error instanceof X0Error)
      return { code: error.code, exit: error.exit, message: error.message, hint: error.hint };
    throw error;
  }
  throw new Error("it was read");
}

test.each([
  ["0s", 0],
  ["250ms", 250],
  ["0.1ms", 0.1],
  ["30s", 30_000],
  ["1.005s", 1005],
  ["1h30m", 5_400_000],
  [" 7d ", 604_800_000],
  ["2w", 1_209_600_000],
])("duration %s", (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds);
});

test.each(["", "  ", "5", "5 m", "-5s", ".5s", "1.s", "1e3s", "5y", "1h 30m", "s", `${"9".repeat(400)}s`])(
  "no duration: %j",
  (text) => {
    expect(refusal(() => parseDuration(text))).toEqual({
      code: "X0_CORE_INVALID_QUANTITY",
      exit: 2,
      message: `"${text}" is not a duration`,
      hint: expect.stringContaining("1h30m"),
    });
  },
);

test("a duration is the sum of its parts", () => {
  const parts = fc.tuple(fc.nat(1000), fc.nat(1000), fc.nat(1000), fc.nat(1000), fc.nat(10_000));
  return fc.assert(
    fc.property(parts, ([d, h, m, s, ms]) => {
      expect(parseDuration(`${d}d${h}h${m}m${s}s${ms}ms`)).toBe(
        (((d * 24 + h) * 60 + m) * 60 + s) * 1000 + ms,
      );
    }),
  );
});

test.each([
  ["0", 0],
  ["100", 100],
  ["100B", 100],
  ["512kB", 512_000],
  ["512KB", 512_000],
  ["1.5GB", 1_500_000_000],
  ["2TB", 2e12],
  ["64KiB", 65_536],
  ["1 MiB", 1_048_576],
  ["0.5GiB", 536_870_912],
  ["1TiB", 2 ** 40],
  ["0.3B", 0],
])("size %s", (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test.each(["", "MiB", "1kib", "1 m", "-1", "1.", "1e3", "1constructor", "1toString", "9".repeat(400)])(
  "no size: %j",
  (text) => {
    expect(refusal(() => parseSize(text))).toMatchObject({
      code: "X0_CORE_INVALID_QUANTITY",
      exit: 2,
      hint: expect.stringContaining("64MiB"),
    });
  },
);

const now = Date.UTC(2026, 0, 31, 12);

test.each([
  ["now", now],
  ["15m", now - 900_000],
  ["1h30m", now - 5_400_000],
  ["2026-01-31", Date.UTC(2026, 0, 31)],
  ["2026-01-31T08:00Z", Date.UTC(2026, 0, 31, 8)],
  ["2026-01-31 08:00:00Z", Date.UTC(2026, 0, 31, 8)],
  ["2026-01-31T08:00:00.25+02:00", Date.UTC(2026, 0, 31, 6, 0, 0, 250)],
  ["2024-02-29", Date.UTC(2024, 1, 29)],
  ["2026-01-31T08:00", new Date(2026, 0, 31, 8).getTime()],
])("moment %s", (text, milliseconds) => {
  expect(parseMoment(text, now)).toBe(milliseconds);
});

test.each([
  "",
  "yesterday",
  "15",
  "-15m",
  "2026-02-29",
  "2026-02-31T08:00:00Z",
  "2026-13-01",
  "2026-01-31T25:00Z",
  "2026-01-31 (x)",
  "2026-01-31T08:00:00Zoo",
])("no moment: %j", (text) => {
  expect(refusal(() => parseMoment(text, now))).toMatchObject({
    code: "X0_CORE_INVALID_QUANTITY",
    message: `"${text}" is not a time`,
    hint: expect.stringContaining("15m"),
  });
});

test("a moment reads back what toISOString writes", () => {
  const range = { min: new Date(0), max: new Date("9999-12-31T23:59:59.999Z"), noInvalidDate: true };
  return fc.assert(
    fc.property(fc.date(range), (date) => {
      expect(parseMoment(date.toISOString(), now)).toBe(date.getTime());
    }),
  );
});

test.each([
  [0, "0 B", "0"],
  [1, "1 B", "1"],
  [999, "999 B", "999"],
  [999.6, "1.00 kB", "1.00 k"],
  [1000, "1.00 kB", "1.00 k"],
  [14_700, "14.7 kB", "14.7 k"],
  [84_512, "84.5 kB", "84.5 k"],
  [999_499, "999 kB", "999 k"],
  [999_500, "1.00 MB", "1.00 M"],
  [1.5e9, "1.50 GB", "1.50 G"],
  [2.5e12, "2.50 TB", "2.50 T"],
  [1e15, "1.00 PB", "1.00 P"],
  [2 ** 63, "9.22 EB", "9.22 E"],
  [1e21, "1000 EB", "1000 E"],
  [-5, "-5 B", "-5"],
  [-14_700, "-14.7 kB", "-14.7 k"],
])("%d is shown as %s", (value, bytes, count) => {
  expect(formatBytes(value)).toBe(bytes);
  expect(formatCount(value)).toBe(count);
});

test("what is shown is within half of its last digit", () => {
  return fc.assert(
    fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (bytes) => {
      const shown = formatBytes(bytes);
      expect(shown).toMatch(/^\d+(\.\d+)? [kMGTPE]?B$/);
      if (!shown.endsWith("PB"))
        expect(Math.abs(parseSize(shown) - bytes)).toBeLessThanOrEqual(bytes * 0.005);
    }),
  );
});
