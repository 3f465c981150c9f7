import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { tick } from "./format.ts";
import { download, picture } from "./save.ts";
import { csv, niceTop, type Series, spanSeconds } from "./series.ts";

export interface ChartProps {
  readonly title: string;
  readonly scope: string;
  readonly label: string;
  readonly series: Series;
  readonly column: "bytes" | "packets";
  readonly format: (value: number) => string;
  readonly exact: (value: number) => string;
  /** Right edge, in seconds. */
  readonly now: number;
  /** The value at the shared cursor, else the latest; null in a gap. */
  readonly value: number | null;
  readonly theme: string;
  readonly range: readonly [number, number] | undefined;
  onCursor(seconds: number | null): void;
  onRange(from: number, to: number): void;
}

const height = 96;

function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Ink on a canvas: one line, three grid lines, gaps hatched, the cursor shared by all charts of the page. */
export function Chart(props: ChartProps) {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    const element = frame.current as HTMLDivElement;
    const created = new uPlot(options(latest, element.clientWidth), [[], []], element);
    plot.current = created;
    const sized = new ResizeObserver(() => created.setSize({ width: element.clientWidth, height }));
    sized.observe(element);
    return () => {
      sized.disconnect();
      created.destroy();
    };
  }, []);

  useEffect(() => {
    const columns = props.series.columns();
    plot.current?.setData([columns.seconds as number[], columns[props.column] as (number | null)[]]);
  }, [props.now, props.series.revision, props.theme, props.range?.[0], props.range?.[1]]);

  const name = (extension: string): string => `x0-${props.column}-${props.now}.${extension}`;
  const savePicture = (): void => {
    if (plot.current === undefined) return;
    void picture(plot.current.ctx.canvas, css("--bg0")).then((blob) => download(name("png"), blob));
  };
  const savePoints = (): void =>
    download(name("csv"), new Blob([csv(props.series.columns(), props.column)], { type: "text/csv" }));

  const { title, scope, label, value, format, exact } = props;
  return (
    <section class="panel">
      <header>
        <h2>{title}</h2>
        <span class="s">{scope}</span>
        <span class="r s">
          <button type="button" class="plain" title="Save the picture" onClick={savePicture}>
            png
          </button>{" "}
          <button type="button" class="plain" title="Save the points" onClick={savePoints}>
            csv
          </button>
        </span>
      </header>
      <div class="key">
        <span>
          <i />
          {label}
          <b title={value === null ? "no data" : exact(value)}>
            {value === null ? "no data" : format(value)}
          </b>
        </span>
      </div>
      <div class="chart" ref={frame} aria-hidden="true" />
    </section>
  );
}

function options(latest: { readonly current: ChartProps }, width: number): uPlot.Options {
  const axis = {
    stroke: () => css("--ink3"),
    font: `11px ${css("--sans")}`,
    ticks: { show: false },
  };
  return {
    width,
    height,
    padding: [6, 1, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      points: { show: false },
      sync: { key: "page" },
      drag: { x: true, y: false, setScale: false },
    },
    scales: {
      x: { time: true, range: () => [latest.current.now - spanSeconds, latest.current.now] },
      y: { range: (_, __, max) => [0, niceTop(max)] },
    },
    axes: [
      {
        ...axis,
        size: 18,
        gap: 3,
        grid: { show: false },
        splits: (plot, _, min, max) => minutes(min, max, plot.width),
        values: (_, splits) => splits.map((second) => new Date(second * 1000).toTimeString().slice(0, 5)),
      },
      {
        ...axis,
        size: 44,
        gap: 4,
        grid: { stroke: () => css("--line"), width: 1 },
        splits: (plot, _, min, max) => (plot.data[0].length === 0 ? [min, max] : [min, max / 2, max]),
        values: (plot, splits) => (plot.data[0].length === 0 ? ["", ""] : splits.map(tick)),
      },
    ],
    series: [
      {},
      {
        stroke: () => css("--ink"),
        fill: () => css("--area"),
        width: 1.25,
        points: { show: false },
      },
    ],
    hooks: {
      drawClear: [(plot) => shade(plot, latest.current)],
      setCursor: [
        (plot) => {
          const { left = -1 } = plot.cursor;
          latest.current.onCursor(left < 0 ? null : plot.posToVal(left, "x"));
        },
      ],
      setSelect: [
        (plot) => {
          const { left, width: wide } = plot.select;
          if (wide < 4) return;
          latest.current.onRange(plot.posToVal(left, "x"), plot.posToVal(left + wide, "x"));
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
}

/** Every second minute, on the minute, where its label has room. */
function minutes(from: number, to: number, width: number): number[] {
  const half = ((to - from) / width) * 18;
  const found: number[] = [];
  for (let second = Math.ceil((from + half) / 120) * 120; second <= to - half; second += 120)
    found.push(second);
  return found;
}

/** The chosen range as a tint, what is missing as hatching: both below the line. */
function shade(plot: uPlot, { series, now, range }: ChartProps): void {
  const { ctx, bbox } = plot;
  const x = (seconds: number): number =>
    Math.min(Math.max(plot.valToPos(seconds, "x", true), bbox.left), bbox.left + bbox.width);
  ctx.save();
  if (range !== undefined) {
    ctx.fillStyle = css("--selbg");
    ctx.fillRect(x(range[0]), bbox.top, x(range[1]) - x(range[0]), bbox.height);
  }
  ctx.strokeStyle = css("--line2");
  ctx.lineWidth = devicePixelRatio;
  const step = 5 * devicePixelRatio;
  for (const [from, to] of series.gaps(now)) {
    ctx.save();
    ctx.beginPath();
    ctx.rect(x(from), bbox.top, x(to) - x(from), bbox.height);
    ctx.clip();
    ctx.beginPath();
    for (let left = x(from) - bbox.height; left < x(to); left += step) {
      ctx.moveTo(left, bbox.top + bbox.height);
      ctx.lineTo(left + bbox.height, bbox.top);
    }
    ctx.stroke();
    ctx.restore();
  }
  ctx.restore();
}
