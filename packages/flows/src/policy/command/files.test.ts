import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { CliContext } from "@x0tta6bl4/core";
import { expect, onTestFinished, test } from "vitest";
import { readFiles } from "./files.ts";

const context = { stdin: Readable.from([Buffer.from("a: "), Buffer.from("b")]) } as unknown as CliContext;

function file(content: string | Uint8Array): string {
  const folder = mkdtempSync(join(tmpdir(), "x0-files-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "a.yaml");
  writeFileSync(path, content);
  return path;
}

test("files and standard input, in their order", async () => {
  const path = file("é: 1");
  expect(await readFiles(context, [path, "-"])).toEqual([
    { name: path, text: "é: 1" },
    { name: "standard input", text: "a: b" },
  ]);
});

test.each([
  ["what is not there", () => "/nowhere/a.yaml", /a\.yaml does not exist/],
  ["a directory", () => tmpdir(), /is a directory/],
  ["what is not UTF-8", () => file(Uint8Array.of(0x61, 0xff)), /is not UTF-8/],
  ["what is too large", () => file("x".repeat(17 * 1024 * 1024)), /is too large/],
])("%s", async (_, path, message) => {
  await expect(readFiles(context, [path()])).rejects.toMatchObject({
    code: "X0_FLOWS_POLICY_UNREADABLE",
    message: expect.stringMatching(message),
    hint: expect.any(String),
  });
});
