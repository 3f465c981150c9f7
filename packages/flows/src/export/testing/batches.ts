/** Batches for tests of exports, and a sink's figures by name. */
import { type Clock, seededRandom, systemClock } from "@x0tta6bl4/core";
import type { Flow } from "../../flow.ts";
import { type RecordReader, readBatch } from "../../recording/record.ts";
import type { Sink } from "../../recording/sink.ts";
import { batchOf, type Recorded } from "../../testing/records.ts";
import { exportSchema } from "../config.ts";
import { openExports } from "../exports.ts";

export const batch = (
  entries: readonly (Flow | Recorded)[],
  coverage: Parameters<typeof batchOf>[1] = {},
): RecordReader => readBatch(batchOf(entries, coverage));

/** The sink of one export, as its configuration opens it. */
export function openExport(config: Readonly<Record<string, unknown>>, clock: Clock = systemClock): Sink {
  const context = { clock, random: seededRandom(1), hostName: "edge-1", version: "0.1.0" };
  const [sink] = openExports([exportSchema.parse(config)], context);
  return sink as Sink;
}

/** Short names of metrics, the reason behind: `dropped_records queue_full`. */
export function figures(sink: Sink): Record<string, number> {
  return Object.fromEntries(
    sink.samples().map(({ metric, labels, value }) => {
      const name = metric.name.replace(/^x0tta6bl4_flows_export_|_total$/g, "");
      return [labels["reason"] === undefined ? name : `${name} ${labels["reason"]}`, value];
    }),
  );
}
