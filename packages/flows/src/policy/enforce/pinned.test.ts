import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { removePinned } from "./pinned.ts";

test("all names below the folder are taken away, and nothing is missing where there are none", () => {
  const parent = mkdtempSync(join(tmpdir(), "x0-pins-"));
  onTestFinished(() => rmSync(parent, { recursive: true }));
  const folder = join(parent, "x0tta6bl4");
  mkdirSync(join(folder, "links"), { recursive: true });
  for (const name of ["links/eth0-ingress", "links/eth0-egress", "policy"])
    writeFileSync(join(folder, name), "");
  expect(removePinned(folder)).toBe(3);
  expect(existsSync(folder)).toBe(false);
  expect(removePinned(folder)).toBe(0);
});

test("what cannot be taken away is said", () => {
  expect(() => removePinned("/dev/null")).toThrow(
    expect.objectContaining({ code: "X0_FLOWS_POLICY_PINNED" }),
  );
});
