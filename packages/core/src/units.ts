import { coreFail } from "./errors.ts";

const durations: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const sizes: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** `1h30m`, `250ms`, `7d` → milliseconds. @throws X0_CORE_INVALID_QUANTITY */
export function parseDuration(text: string): number {
  let total = 0;
  let rest = text.trim();
  while (rest !== "") {
    const match = /^(\d+(?:\.\d+)?)(ms|[smhdw])/.exec(rest);
    if (match === null) break;
    total += Number(match[1]) * (durations[match[2] as string] as number);
    rest = rest.slice(match[0].length);
  }
  if (rest !== "" || text.trim() === "" || !Number.isFinite(total))
    throw coreFail("X0_CORE_INVALID_QUANTITY", `"${text}" is not a duration`, {
      hint: "write a number with its unit: 500ms, 30s, 5m, 1h30m, 7d",
    });
  return total;
}

/** `64KiB`, `1.5GB`, `100` → bytes. @throws X0_CORE_INVALID_QUANTITY */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim());
  const unit = match === null ? undefined : sizes[match[2] === "" ? "B" : (match[2] as string)];
  if (match === null || unit === undefined)
    throw coreFail("X0_CORE_INVALID_QUANTITY", `"${text}" is not a size`, {
      hint: "write a number with its unit: 512kB, 64MiB, 10GB",
    });
  return Math.round(Number(match[1]) * unit);
}

/** A moment: a duration before now (`15m`), `now`, or an ISO 8601 date → Unix milliseconds. @throws X0_CORE_INVALID_QUANTITY */
export function parseMoment(text: string, nowMs: number): number {
  const trimmed = text.trim();
  if (trimmed === "now") return nowMs;
  if (/^\d{4}-\d{2}-\d{2}/.test(trimmed)) {
    const at = Date.parse(trimmed);
    if (!Number.isNaN(at)) return at;
  } else if (/^[\d.]+(ms|[smhdw])/.test(trimmed)) return nowMs - parseDuration(trimmed);
  throw coreFail("X0_CORE_INVALID_QUANTITY", `"${text}" is not a time`, {
    hint: "write how long ago (15m, 2h) or an ISO 8601 time (2026-01-31T08:00:00Z)",
  });
}

/** Three significant digits with an SI prefix: 84_512 → "84.5 kB". */
export function formatBytes(bytes: number): string {
  return `${formatCount(bytes)}${bytes < 1000 ? " " : ""}B`;
}

/** Three significant digits with an SI prefix: 14_700 → "14.7 k"; below 1000 as it is. */
export function formatCount(value: number): string {
  if (value < 1000) return String(Math.round(value));
  const prefixes = ["k", "M", "G", "T", "P"];
  let scaled = value;
  let index = -1;
  do {
    scaled /= 1000;
    index++;
  } while (Number(scaled.toPrecision(3)) >= 1000 && index < prefixes.length - 1);
  return `${scaled.toPrecision(3)} ${prefixes[index]}`;
}
