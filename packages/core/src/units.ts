import { coreFail } from "./errors.ts";

const durations: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const sizes: ReadonlyMap<string, number> = new Map([
  ["", 1],
  ["B", 1],
  ["kB", 1e3],
  ["KB", 1e3],
  ["MB", 1e6],
  ["GB", 1e9],
  ["TB", 1e12],
  ["KiB", 2 ** 10],
  ["MiB", 2 ** 20],
  ["GiB", 2 ** 30],
  ["TiB", 2 ** 40],
]);

/** `1h30m`, `250ms`, `7d` → milliseconds, to the nanosecond. @throws X0_CORE_INVALID_QUANTITY */
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
  return Number(total.toFixed(6));
}

/** `64KiB`, `1.5GB`, `100` → bytes. @throws X0_CORE_INVALID_QUANTITY */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim());
  const bytes = Number(match?.[1]) * (sizes.get(match?.[2] as string) ?? Number.NaN);
  if (!Number.isFinite(bytes))
    throw coreFail("X0_CORE_INVALID_QUANTITY", `"${text}" is not a size`, {
      hint: "write a number with its unit: 512kB, 64MiB, 10GB",
    });
  return Math.round(bytes);
}

/**
 * What `Date.parse` must accept by ECMA-262 §21.4.1.32, and the space of RFC 3339 §5.6. Without an offset a date
 * is UTC and a time is local.
 */
const isoTime = /^(\d{4})-(\d{2})-(\d{2})(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?)?$/;

/** A moment: a duration before now (`15m`), `now`, or an ISO 8601 date → Unix milliseconds. @throws X0_CORE_INVALID_QUANTITY */
export function parseMoment(text: string, nowMs: number): number {
  const trimmed = text.trim();
  if (trimmed === "now") return nowMs;
  const date = isoTime.exec(trimmed);
  if (date !== null) {
    const at = Date.parse(trimmed.replace(" ", "T"));
    // The 31st of February would quietly become the 3rd of March.
    const [, year, month, day] = date.map(Number);
    const days = new Date(Date.UTC(year as number, month as number, 0)).getUTCDate();
    if (!Number.isNaN(at) && (day as number) <= days) return at;
  } else if (/^[\d.]+(ms|[smhdw])/.test(trimmed)) return nowMs - parseDuration(trimmed);
  throw coreFail("X0_CORE_INVALID_QUANTITY", `"${text}" is not a time`, {
    hint: "write how long ago (15m, 2h) or an ISO 8601 time (2026-01-31T08:00:00Z)",
  });
}

/** Three significant digits with an SI prefix: 84_512 → "84.5 kB". */
export function formatBytes(bytes: number): string {
  const text = formatCount(bytes);
  return /\d$/.test(text) ? `${text} B` : `${text}B`;
}

const prefixes = ["", " k", " M", " G", " T", " P", " E"];

/** Three significant digits with an SI prefix: 14_700 → "14.7 k"; below 1000 the nearest integer. */
export function formatCount(value: number): string {
  let scaled = Math.abs(value) < 1000 ? Math.round(value) : value;
  let power = 0;
  while (Math.abs(Number(scaled.toPrecision(3))) >= 1000 && power < prefixes.length - 1) {
    scaled /= 1000;
    power++;
  }
  // Beyond the last prefix toPrecision would turn to an exponent.
  const digits =
    power === 0 || Math.abs(scaled) >= 999.5 ? String(Math.round(scaled)) : scaled.toPrecision(3);
  return `${digits}${prefixes[power]}`;
}
