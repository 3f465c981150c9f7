import { expect, test } from "vitest";
import { table } from "./table.ts";

test("columns are as wide as their widest cell, and no line ends in blanks", () => {
  expect(
    table(
      ["NAME", "KIND"],
      [
        ["a", "long kind"],
        ["longer name", ""],
      ],
    ),
  ).toBe("NAME         KIND\na            long kind\nlonger name\n");
});

test("a cell cannot write over its terminal", () => {
  expect(table(["NAME"], [["a\u001b[2Jb\nc"]])).toBe("NAME\na\ufffd[2Jb\ufffdc\n");
});
