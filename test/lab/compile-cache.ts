/**
 * Around all tests: a folder in which Node keeps what it compiled. Tests start some thousand Node processes, most for a
 * moment; with it one starts in half the time. Thrown away at the end, so that nothing of one run enters another.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Before the workers start, which inherit it. */
export function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "x0-compiled-"));
  process.env["NODE_COMPILE_CACHE"] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
