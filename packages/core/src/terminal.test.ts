import { expect, test } from "vitest";
import { jsonLine, printable } from "./terminal.ts";

const every = String.fromCodePoint(
  ...Array.from({ length: 0x100 }, (_, code) => code),
  0x2028,
  0x202e,
  0x1f600,
);
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not come
const control = /[\x00-\x1f\x7f-\x9f]/;

test("printable text holds no control and no reversing character, and keeps all others", () => {
  expect(printable(every)).not.toMatch(control);
  expect(printable(every)).not.toContain("\u202e");
  expect(printable("x — 😀 é")).toBe("x — 😀 é");
});

test("a line of JSON holds no control character but its end, and means the same", () => {
  const line = jsonLine({ comm: every });
  expect(line.slice(0, -1)).not.toMatch(control);
  expect(line.at(-1)).toBe("\n");
  expect(JSON.parse(line)).toEqual({ comm: every });
});
