import type { Metrics } from "./bench.ts";

/** One line a metric, figures aligned on the right. */
export function table(metrics: Metrics): string {
  const rows = Object.entries(metrics).map(
    ([name, value]) => [name, value === null ? "–" : String(value)] as const,
  );
  const [left, right] = [0, 1].map((column) =>
    Math.max(0, ...rows.map((row) => (row[column] as string).length)),
  );
  return rows.map(([name, value]) => `${name.padEnd(left ?? 0)}  ${value.padStart(right ?? 0)}\n`).join("");
}
