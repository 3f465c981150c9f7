import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { fileURLToPath } from "node:url";
import { runCli } from "../cli/application.ts";
import type { PartEntry } from "../parts.ts";

const main = fileURLToPath(new URL("../cli/main.ts", import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCommand {
  readonly child: ChildProcess;
  /** Resolves once stdout and stderr together match. */
  printed(pattern: RegExp): Promise<void>;
  ended(): Promise<Outcome>;
}

/** The real `x0` in a process of its own, from the sources. */
export function spawnX0(argv: readonly string[], env: Readonly<Record<string, string>> = {}): RunningCommand {
  const child = spawn(process.execPath, ["--conditions=x0tta6bl4-source", main, ...argv], {
    env: { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => {
    output.stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    output.stderr += chunk;
  });
  const closed = once(child, "close");
  return {
    child,
    async printed(pattern) {
      while (!pattern.test(output.stdout + output.stderr)) {
        if (child.exitCode !== null) throw new Error(`x0 ended: ${output.stdout}${output.stderr}`);
        await Promise.race([once(child.stdout, "data"), once(child.stderr, "data"), closed]);
      }
    },
    async ended() {
      const [code] = (await closed) as [number | null];
      return { code, ...output };
    },
  };
}

export async function runX0(
  argv: readonly string[],
  parts: readonly PartEntry[] = [],
  env: Readonly<Record<string, string>> = {},
  input = "",
): Promise<Outcome> {
  const stdin = new PassThrough().end(input);
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const code = await runCli({
    argv,
    stdin,
    stdout,
    stderr,
    parts,
    env: { HOME: "/nonexistent", ...env },
    signal: AbortSignal.any([]),
  });
  return { code, stdout: String(stdout.read() ?? ""), stderr: String(stderr.read() ?? "") };
}
