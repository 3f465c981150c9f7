import { parseArgs } from "node:util";

export interface Request {
  readonly name: string | undefined;
  readonly quick: boolean;
  readonly seed: number;
  readonly set: string | undefined;
}

/** `NAME [--quick] [--seed N] [--set DIR]`. @throws Error that says what is wrong */
export function parseRequest(args: readonly string[]): Request {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      seed: { type: "string", default: "1" },
      set: { type: "string" },
    },
  });
  const seed = Number(values.seed);
  if (!/^\d+$/.test(values.seed) || seed > 0xffff_ffff)
    throw new Error(`--seed is 0 to 4294967295, not "${values.seed}"`);
  if (positionals.length > 1) throw new Error(`one bench at a time, not ${positionals.join(" ")}`);
  return { name: positionals[0], quick: values.quick, seed, set: values.set };
}
