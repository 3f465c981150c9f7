/**
 * `npm run -s bench -- NAME [--quick] [--seed N] [--set DIR]`: runs `bench/NAME.ts` and prints the machine, the
 * versions, the seed, a table and, as its last line, one JSON object.
 */
import { readdirSync } from "node:fs";
import { messageOf } from "@x0tta6bl4/core";
import type { Bench } from "./lib/bench.ts";
import { machineLine, versionLine } from "./lib/machine.ts";
import { parseRequest, type Request } from "./lib/options.ts";
import { table } from "./lib/table.ts";

const names = readdirSync(new URL(".", import.meta.url))
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts") && file !== "run.ts")
  .map((file) => file.slice(0, -3));

function usage(problem: string): number {
  process.stderr.write(
    `bench: ${problem}\nusage: npm run -s bench -- NAME [--quick] [--seed N] [--set DIR]\n`,
  );
  process.stderr.write(`benches: ${names.join(", ")}\n`);
  return 2;
}

async function main(args: readonly string[]): Promise<number> {
  let request: Request;
  try {
    request = parseRequest(args);
  } catch (error) {
    return usage(messageOf(error));
  }
  const { name, quick, seed, set } = request;
  if (name === undefined || !names.includes(name))
    return usage(name === undefined ? "which?" : `no bench "${name}"`);
  const note = (line: string): void => void process.stdout.write(`${line}\n`);
  note(`${name}${quick ? " (quick)" : ""}`);
  note(machineLine());
  note(versionLine());
  note(`seed ${seed}${set === undefined ? "" : `, set ${set}`}\n`);
  try {
    const { run } = (await import(`./${name}.ts`)) as { readonly run: Bench };
    const metrics = await run({ quick, seed, set, note });
    note(`\n${table(metrics)}`);
    note(JSON.stringify({ bench: name, metrics }));
    return 0;
  } catch (error) {
    process.stderr.write(`bench ${name}: ${error instanceof Error ? error.stack : messageOf(error)}\n`);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
