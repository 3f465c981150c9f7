import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { requireKernel } from "../../../../../test/lab/index.ts";
import { openLibc } from "../../kernel/libc.ts";
import { openPins } from "./pins.ts";

const SET = "programs-0";
const NOBODY = 65_534;

beforeEach((context) => requireKernel(context, "bpf"));

test("nothing is taken over from a folder that others can write to, or own", () => {
  const parent = mkdtempSync(join(tmpdir(), "x0-pins-"));
  onTestFinished(() => rmSync(parent, { recursive: true }));
  const folder = join(parent, "net-1-1");
  const set = join(folder, SET);
  const open = () => openPins(openLibc(), SET, folder).close();
  const isRefused = (path: string) =>
    expect(open).toThrow(
      expect.objectContaining({ code: "X0_FLOWS_POLICY_PINNED", message: expect.stringContaining(path) }),
    );
  mkdirSync(folder, { mode: 0o700 });
  open();
  for (const path of [parent, folder, set]) {
    mkdirSync(set, { recursive: true, mode: 0o700 });
    for (const mode of [0o770, 0o702]) {
      chmodSync(path, mode);
      isRefused(path);
    }
    chmodSync(path, 0o700);
    chownSync(path, NOBODY, NOBODY);
    isRefused(path);
    chownSync(path, 0, 0);
    open();
  }
});
