import { once } from "node:events";
import { createInterface } from "node:readline";
import type { CliContext } from "@x0tta6bl4/core";

/** Asks on stderr. @returns undefined where the answer did not come before the signal or the end of input */
export async function ask(
  context: CliContext,
  question: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const lines = createInterface({ input: context.stdin });
  const over = new AbortController();
  const any = AbortSignal.any([signal, context.signal, over.signal]);
  lines.once("close", () => over.abort());
  context.stderr.write(question);
  try {
    const [line] = (await once(lines, "line", { signal: any })) as [string];
    return line.trim();
  } catch (error) {
    if ((error as Error).name !== "AbortError") throw error;
    context.stderr.write("\n");
    return undefined;
  } finally {
    lines.close();
    context.stdin.pause();
  }
}

export function isYes(answer: string | undefined): boolean {
  return /^y(es)?$/i.test(answer ?? "");
}
