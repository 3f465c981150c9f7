import { readFileSync } from "node:fs";

/** Per-CPU values of maps come for every CPU that could ever be there: "0-3" or "0". */
export function possibleCpus(): number {
  const text = readFileSync("/sys/devices/system/cpu/possible", "utf8").trim();
  return Number(text.split(/[-,]/).at(-1)) + 1;
}
