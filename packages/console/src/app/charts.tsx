/** The two charts of the page: rates of the whole host for the last minutes, or what the flows of a range add up to. */
import { useMemo } from "preact/hooks";
import { Chart } from "./chart.tsx";
import { type FlowPoints, flowPoints } from "./flow-series.ts";
import { bytesPerSecond, clock, exact, perSecond } from "./format.ts";
import type { FlowsModel } from "./model.ts";
import type { View } from "./query.ts";
import { type Range, rangeOf } from "./range.ts";
import { type ChartData, type Slot, type Span, spanSeconds } from "./series.ts";
import { ChartTable } from "./series-table.tsx";

interface Props {
  readonly model: FlowsModel;
  readonly view: View;
  readonly nowMs: number;
  /** Where the pointer is on a chart, in seconds. */
  readonly moment: number | null;
  readonly theme: string;
  onCursor(seconds: number | null): void;
  onPin(seconds: number): void;
  onRange(from: number, to: number): void;
}

export function Charts({ model, view, nowMs, moment, theme, ...on }: Props) {
  const { series } = model;
  const now = Math.floor(nowMs / 1000);
  const range = rangeOf(view.filter, now * 1000);
  const past = range !== undefined && isPast(range, now) ? range : undefined;
  const points = usePoints(model, past, now);
  const pinned = view.at === undefined ? undefined : Date.parse(view.at) / 1000;
  const cursor = moment ?? pinned ?? null;
  const common = { theme, pinned, range: past === undefined ? tint(range) : undefined, ...on };
  const live = useMemo(
    () => [series.chart("bytes", now), series.chart("packets", now)] as const,
    [now, series.revision],
  );
  const summed = useMemo(
    () => (past === undefined || points === undefined ? undefined : dataOf(points, past)),
    [points, now],
  );
  if (summed !== undefined && points !== undefined) {
    const [bytes, started] = summed;
    const at = (data: ChartData): number | null => valueAt(data, points, cursor);
    const label = cursor === null ? "latest" : clock(cursor * 1000);
    const { loadedFromMs } = model;
    const scope =
      loadedFromMs > (past?.fromMs ?? 0) ? `loaded since ${clock(loadedFromMs)}` : "of these flows";
    return (
      <>
        <Chart
          {...common}
          label={label}
          title="Bytes"
          scope={`${scope}, laid evenly over each: estimated`}
          data={bytes}
          value={at(bytes)}
          format={(value) => `≈ ${bytesPerSecond(value)}`}
          exact={(value) => exact(value, "B/s")}
        />
        <Chart
          {...common}
          label={label}
          title="New flows"
          scope={`${scope}, a second`}
          data={started}
          value={at(started)}
          format={perSecond}
          exact={(value) => exact(value, "flows/s")}
        />
        <ChartTable caption="Traffic of these flows, estimated" other="new flows" slots={slotsOf(points)} />
      </>
    );
  }
  const point = cursor === null ? series.latest : series.at(cursor);
  const stale =
    cursor === null && (model.trouble !== undefined || !model.live) && series.latest !== undefined;
  const label = stale
    ? clock(Date.parse(series.latest?.time ?? ""))
    : cursor === null
      ? "now"
      : clock(cursor * 1000);
  return (
    <>
      <Chart
        {...common}
        label={label}
        title="Bytes"
        scope="layer-3 bytes/s, whole host"
        data={live[0]}
        value={point?.bytesPerSecond ?? null}
        format={bytesPerSecond}
        exact={(value) => exact(value, "B/s")}
      />
      <Chart
        {...common}
        label={label}
        title="Packets"
        scope="packets/s, whole host"
        data={live[1]}
        value={point?.packetsPerSecond ?? null}
        format={perSecond}
        exact={(value) => exact(value, "packets/s")}
      />
      <ChartTable
        caption="Traffic of the whole host, means over 30 seconds"
        other="packets"
        slots={series.slots()}
      />
    </>
  );
}

/** Beyond what the node has rates of. */
function isPast({ fromMs, toMs }: Range, now: number): boolean {
  return toMs - fromMs > spanSeconds * 1000 || fromMs < (now - spanSeconds) * 1000;
}

/** Flows change by the second; their sum over hours need not follow each change. */
function usePoints(model: FlowsModel, range: Range | undefined, now: number): FlowPoints | undefined {
  const { rows, covers, listed, loadedFromMs } = model;
  const everySeconds = rows.size > 20_000 ? 10 : 2;
  const length = range === undefined ? 0 : range.toMs - range.fromMs;
  return useMemo(() => {
    if (range === undefined) return undefined;
    const known =
      covers === undefined
        ? undefined
        : {
            fromMs: Date.parse(covers.from),
            // What the stream brings is later than the list.
            toMs: model.live ? range.toMs : Date.parse(covers.to),
            gaps: covers.gaps ?? [],
          };
    return flowPoints({
      rows: rows.all(),
      range,
      loadedFromMs: listed ? loadedFromMs : Number.POSITIVE_INFINITY,
      ...(known === undefined ? {} : { known }),
    });
  }, [rows, listed, loadedFromMs, length, model.live, covers, Math.floor(now / everySeconds)]);
}

function dataOf(points: FlowPoints, { fromMs, toMs }: Range): readonly [ChartData, ChartData] {
  const frame = { seconds: points.seconds, gaps: points.gaps, from: fromMs / 1000, to: toMs / 1000 };
  return [
    { ...frame, name: "bytes_per_second_estimated", values: points.bytes },
    { ...frame, name: "new_flows_per_second", values: points.started },
  ];
}

/** Every tenth point is enough to be read aloud. */
function slotsOf({ seconds, bytes, started, stepSeconds }: FlowPoints): readonly Slot[] {
  return seconds
    .map((second, index) => ({
      second: second - stepSeconds / 2,
      bytes: bytes[index] ?? null,
      packets: started[index] ?? null,
    }))
    .filter((_, index) => index % 10 === 0)
    .toReversed();
}

function valueAt(
  { seconds, values }: ChartData,
  { stepSeconds }: FlowPoints,
  cursor: number | null,
): number | null {
  if (cursor === null) return values.findLast((value) => value !== null) ?? null;
  const index = seconds.findIndex((second) => Math.abs(second - cursor) <= stepSeconds / 2);
  return values[index] ?? null;
}

function tint(range: Range | undefined): Span | undefined {
  return range === undefined ? undefined : [range.fromMs / 1000, range.toMs / 1000];
}
