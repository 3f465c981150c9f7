/**
 * `npm run -s conformance -- [--quick] [NAME]`: runs one real peer against us, or all. A line each; exits 1 on a
 * difference; the last line is `N passed, N failed, N skipped`. `--quick` skips a peer that is not built yet.
 */
import { readdirSync } from "node:fs";
import { messageOf } from "@x0tta6bl4/core";
import type { Conformance, ConformanceOptions, ConformanceResult } from "./lib/conformance.ts";

const names = readdirSync(new URL(".", import.meta.url))
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts") && file !== "run.ts")
  .map((file) => file.slice(0, -3));

async function resultOf(name: string, options: ConformanceOptions): Promise<ConformanceResult> {
  try {
    const { run } = (await import(`./${name}.ts`)) as { readonly run: Conformance };
    return await run(options);
  } catch (error) {
    return { outcome: "failed", reason: messageOf(error) };
  }
}

async function main(all: readonly string[]): Promise<number> {
  const quick = all.includes("--quick");
  const args = all.filter((argument) => argument !== "--quick");
  const unknown = args.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    process.stderr.write(`conformance: no peer "${unknown}"; there are: ${names.join(", ") || "none"}\n`);
    return 2;
  }
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const name of args.length === 0 ? names : args) {
    const { outcome, reason } = await resultOf(name, { quick });
    counts[outcome]++;
    process.stdout.write(`${name.padEnd(24)} ${outcome}${reason === undefined ? "" : ` (${reason})`}\n`);
  }
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
  return counts.failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
