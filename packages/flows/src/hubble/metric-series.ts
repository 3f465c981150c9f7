/** The series of one metric: counts by the values of its labels, bounded. */
import type { MetricDefinition } from "@x0tta6bl4/core";
import type { Sample } from "../recording/sink.ts";

/**
 * Most series of a metric: ports and addresses as labels have no end, while Prometheus pays for each by memory. What
 * comes after goes into one series whose labels are all `other`.
 */
export const MAX_SERIES = 1000;

export interface Count {
  value: number;
}

export interface Series {
  /** Where to count; the same object for the same values. */
  at(values: readonly string[]): Count;
  /** Counts that found no series of their own. */
  readonly overflow: number;
  /** Where whatever has no series yet counts, once there are as many as are kept. */
  readonly rest: Count | undefined;
  readonly definition: MetricDefinition;
  samples(): Sample[];
}

/** @param definition of the catalogue, whose labels come first in `values`, then those of `more`. */
export function createSeries(definition: MetricDefinition, more: readonly string[]): Series {
  const labels = [...definition.labels, ...more];
  const whole = { ...definition, labels };
  const series = new Map<string, { readonly values: readonly string[]; readonly count: Count }>();
  const other: Count = { value: 0 };
  return {
    at(values) {
      const key = values.join("\0");
      const known = series.get(key);
      if (known !== undefined) return known.count;
      if (series.size >= MAX_SERIES) return other;
      const count = { value: 0 };
      series.set(key, { values: [...values], count });
      return count;
    },
    get overflow() {
      return other.value;
    },
    get rest() {
      return series.size >= MAX_SERIES ? other : undefined;
    },
    definition: whole,
    samples() {
      const sample = (values: readonly string[], value: number): Sample => ({
        metric: whole,
        labels: Object.fromEntries(labels.map((label, index) => [label, values[index] ?? ""])),
        value,
      });
      const all = [...series.values()].map(({ values, count }) => sample(values, count.value));
      return other.value === 0
        ? all
        : [
            ...all,
            sample(
              labels.map(() => "other"),
              other.value,
            ),
          ];
    },
  };
}
