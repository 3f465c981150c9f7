import type { GlobalFlags } from "../config/places.ts";
import { nodeFail } from "../errors.ts";

/** Flags that every command takes, wherever they stand; they are read before a part is even loaded. */
export const globalFlags = {
  config: "PATH of the configuration file",
  "data-dir": "PATH of the data folder",
  set: "SECTION.KEY=VALUE outranks environment and file; may be repeated",
} as const;

/** @throws X0_NODE_USAGE if a value is missing. */
export function takeGlobalFlags(argv: readonly string[]): { flags: GlobalFlags; rest: readonly string[] } {
  const rest: string[] = [];
  const values = { config: [] as string[], "data-dir": [] as string[], set: [] as string[] };
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] as string;
    if (argument === "--") {
      rest.push(...argv.slice(at));
      break;
    }
    const [name, ...after] = argument.startsWith("--") ? argument.slice(2).split("=") : [];
    if (name === undefined || !Object.hasOwn(values, name)) {
      rest.push(argument);
      continue;
    }
    const value = after.length > 0 ? after.join("=") : argv[++at];
    if (value === undefined || value === "")
      throw nodeFail("X0_NODE_USAGE", `--${name} needs a value`, {
        hint: `--${name} ${globalFlags[name as keyof typeof globalFlags]}`,
      });
    values[name as keyof typeof values].push(value);
  }
  const config = values.config.at(-1);
  const dataDirectory = values["data-dir"].at(-1);
  return {
    flags: {
      set: values.set,
      ...(config === undefined ? {} : { config }),
      ...(dataDirectory === undefined ? {} : { dataDirectory }),
    },
    rest,
  };
}
