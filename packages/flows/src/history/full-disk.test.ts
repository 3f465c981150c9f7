import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { requireKernel, run } from "../../../../test/lab/index.ts";

const recorder = fileURLToPath(new URL("./testing/recorder.ts", import.meta.url));

test("a full disk is told, what is lost then is counted, and writing resumes by itself", async (context) => {
  await requireKernel(context, "mount");
  const folder = mkdtempSync(join(tmpdir(), "x0-full-"));
  // The mount is in a namespace of its own, and goes with the process.
  const script = 'mount -t tmpfs -o size=3m tmpfs "$1"; shift; exec "$@"';
  const child = [process.execPath, recorder, "fill", folder, "5", "150"];
  const { stdout } = await run(["unshare", "--mount", "sh", "-ec", script, "sh", folder, ...child]);
  const saw = JSON.parse(stdout);
  expect(saw.states).toEqual([
    "on ",
    expect.stringMatching(/^degraded no room left on the disk of /),
    expect.stringMatching(/^on $/),
  ]);
  expect(saw).toMatchObject({ invented: 0, missingBefore: 0, missingAfter: 0 });
  expect(saw.distinct).toBe(saw.answered);
  expect(saw.missing).toBeGreaterThan(0);
  const gap = saw.covers.gaps.find(({ reason }: { reason: string }) =>
    /records were not kept: no room/.test(reason),
  );
  expect(gap.from >= saw.fullFrom).toBe(true);
  expect(gap.to <= saw.resumedBy).toBe(true);
  expect(Number(/^\d+/.exec(gap.reason)?.[0])).toBeGreaterThanOrEqual(saw.missing);
  const figures: ReadonlyMap<string, number> = new Map(saw.figures);
  expect(figures.get("x0tta6bl4_flows_history_write_errors_total")).toBeGreaterThan(0);
  expect(figures.get("x0tta6bl4_flows_history_lost_total")).toBeGreaterThanOrEqual(saw.missing);
  rmSync(folder, { recursive: true });
});
