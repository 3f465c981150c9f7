/** One export as a sink of the recording thread: chooses, encodes, counts, and ends at its time. */
import type { Feature, MetricDefinition } from "@x0tta6bl4/core";
import type { Delivery } from "@x0tta6bl4/telemetry";
import { exportsMetrics } from "@x0tta6bl4/telemetry";
import type { FlowEventKind } from "../event.ts";
import type { Sample, Sink } from "../recording/sink.ts";
import type { Encoder } from "./encoder.ts";
import type { Selection } from "./selection.ts";

/** What is pending when an export ends by itself has so long, as the rest of the agent runs on. */
const END_DEADLINE_MS = 60_000;

export interface ExportSinkOptions {
  /** Where it goes, as its setting says. */
  readonly name: string;
  readonly selection: Selection;
  readonly events: readonly FlowEventKind[];
  /** Unix milliseconds. */
  readonly untilMs: number | undefined;
  readonly encoder: Encoder;
  readonly delivery: Pick<Delivery<never>, "totals" | "close">;
}

export function exportSink(options: ExportSinkOptions): Sink {
  const { name, selection, events, untilMs, encoder, delivery } = options;
  const kinds = new Set(events);
  let closing: Promise<void> | undefined;
  let hasEnded = false;
  const end = (deadlineMs: number): Promise<void> => {
    closing ??= (() => {
      encoder.finish();
      return delivery.close(deadlineMs);
    })();
    return closing;
  };
  return {
    take(records, happened) {
      if (closing !== undefined) return;
      for (let index = 0; index < records.batch.count; index++)
        if (selection.isAll || selection.flow(records.flow(index))) encoder.flow(records, index);
      for (const event of happened) if (kinds.has(event.kind) && selection.event(event)) encoder.event(event);
      encoder.flush(records.batch.coverage);
      if (untilMs === undefined || records.batch.coverage.toMs < untilMs) return;
      hasEnded = true;
      void end(END_DEADLINE_MS);
    },
    features: () => [featureOf(name, delivery, hasEnded ? untilMs : undefined)],
    samples: () => samplesOf(name, delivery),
    close: (deadlineMs) => end(deadlineMs),
  };
}

function featureOf(
  name: string,
  delivery: ExportSinkOptions["delivery"],
  endedMs: number | undefined,
): Feature {
  const feature = { name: `export ${name}` };
  if (endedMs !== undefined)
    return {
      ...feature,
      state: "off",
      reason: `it ended at ${new Date(endedMs).toISOString()}, as its setting says`,
      hint: "set a later time as until, or remove it",
    };
  const { problem, queued, records, dropped } = delivery.totals();
  const lost = [...dropped.values()].reduce((sum, count) => sum + count, 0);
  if (problem === undefined)
    return { ...feature, state: "on", detail: `${records} records, ${lost} dropped` };
  return {
    ...feature,
    state: "degraded",
    reason: `${problem}; ${queued} records wait, ${lost} were dropped`,
    hint: "it goes on by itself when the cause is gone",
  };
}

function samplesOf(name: string, delivery: ExportSinkOptions["delivery"]): readonly Sample[] {
  const { records, bytes, retries, queued, dropped } = delivery.totals();
  const sample = (metric: MetricDefinition, value: number, labels = {}): Sample => ({
    metric,
    labels: { sink: name, ...labels },
    value,
  });
  return [
    sample(exportsMetrics.records, records),
    sample(exportsMetrics.bytes, bytes),
    sample(exportsMetrics.retries, retries),
    sample(exportsMetrics.queued, queued),
    ...[...dropped].map(([reason, count]) => sample(exportsMetrics.dropped, count, { reason })),
  ];
}
