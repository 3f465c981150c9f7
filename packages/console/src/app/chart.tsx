import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { timeLabels, timeTicks } from "./axis.ts";
import { chartSvg } from "./chart-svg.ts";
import { tick } from "./format.ts";
import { download, downloadText, picture, token } from "./save.ts";
import { type ChartData, csv, niceTop, type Span } from "./series.ts";
import { Tool } from "./tool.tsx";

export interface ChartProps {
  readonly title: string;
  readonly scope: string;
  readonly label: string;
  readonly data: ChartData;
  readonly format: (value: number) => string;
  readonly exact: (value: number) => string;
  /** The value at the shared cursor, else the latest; null in a gap. */
  readonly value: number | null;
  readonly theme: string;
  /** The chosen stretch, as a tint. */
  readonly range: Span | undefined;
  /** Where the cursor was put to stay, in seconds. */
  readonly pinned: number | undefined;
  onCursor(seconds: number | null): void;
  onPin(seconds: number): void;
  onRange(from: number, to: number): void;
}

const height = 112;

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

  const { title, scope, label, data, value, format, exact, theme, range, pinned } = props;
  useEffect(() => {
    plot.current?.setData([data.seconds as number[], data.values as (number | null)[]]);
  }, [data, theme, range?.[0], range?.[1], pinned]);

  const name = (extension: string): string => `x0-${data.name}-${Math.round(data.to)}.${extension}`;
  const savePng = (): void => {
    if (plot.current === undefined) return;
    void picture(plot.current.ctx.canvas, token("--bg0")).then((blob) => download(name("png"), blob));
  };
  const saveSvg = (): void =>
    downloadText(name("svg"), "image/svg+xml", chartSvg(data, { title, scope, tick, colours: colours() }));
  return (
    <section class="panel">
      <header>
        <h2>{title}</h2>
        <span class="s">{scope}</span>
        <span class="r s tools">
          <Tool label="svg" title="Save the picture as SVG" onClick={saveSvg} />
          <Tool label="png" title="Save the picture as PNG" onClick={savePng} />
          <Tool
            label="csv"
            title="Save the points"
            onClick={() => downloadText(name("csv"), "text/csv", csv(data))}
          />
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

function colours() {
  return {
    ground: token("--bg0"),
    ink: token("--ink"),
    area: token("--area"),
    label: token("--ink3"),
    line: token("--line"),
    hatch: token("--line2"),
  };
}

function options(latest: { readonly current: ChartProps }, width: number): uPlot.Options {
  const axis = {
    stroke: () => token("--ink3"),
    font: `11px ${token("--sans")}`,
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
      x: { time: true, range: () => [latest.current.data.from, latest.current.data.to] },
      y: { range: (_, __, max) => [0, niceTop(max)] },
    },
    axes: [
      {
        ...axis,
        size: 18,
        gap: 3,
        grid: { show: false },
        splits: (plot, _, min, max) => timeTicks(min, max, plot.width),
        values: (_, splits) => timeLabels(splits),
      },
      {
        ...axis,
        size: 44,
        gap: 4,
        grid: { stroke: () => token("--line"), width: 1 },
        splits: (plot, _, min, max) => (plot.data[0].length === 0 ? [min, max] : [min, max / 2, max]),
        values: (plot, splits) => (plot.data[0].length === 0 ? ["", ""] : splits.map(tick)),
      },
    ],
    series: [
      {},
      {
        stroke: () => token("--ink"),
        fill: () => token("--area"),
        width: 1.25,
        // A point between two gaps has no line.
        points: {
          show: true,
          size: 3,
          fill: () => token("--ink"),
          filter: (plot, series) => alone(plot.data[series] as (number | null)[]),
        },
      },
    ],
    hooks: {
      drawClear: [(plot) => shade(plot, latest.current)],
      draw: [(plot) => pin(plot, latest.current.pinned)],
      ready: [(plot) => pinOnClick(plot, latest)],
      setCursor: [
        (plot) => {
          const { left = -1 } = plot.cursor;
          latest.current.onCursor(left < 0 ? null : plot.posToVal(left, "x"));
        },
      ],
      setSelect: [
        (plot) => {
          const { left, width: wide } = plot.select;
          if (wide < clickPixels) return;
          latest.current.onRange(plot.posToVal(left, "x"), plot.posToVal(left + wide, "x"));
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
}

/** Indexes of points without a neighbour. */
function alone(values: readonly (number | null)[]): number[] {
  const known = (index: number): boolean => values[index] != null;
  return values.flatMap((_, index) =>
    known(index) && !known(index - 1) && !known(index + 1) ? [index] : [],
  );
}

/** A pointer that moved less was not dragged. */
const clickPixels = 4;

function pinOnClick({ over, posToVal }: uPlot, latest: { readonly current: ChartProps }): void {
  let downAt = 0;
  over.addEventListener("mousedown", (event) => {
    downAt = event.clientX;
  });
  over.addEventListener("click", (event) => {
    if (Math.abs(event.clientX - downAt) >= clickPixels) return;
    latest.current.onPin(posToVal(event.clientX - over.getBoundingClientRect().left, "x"));
  });
}

/** The cursor that stays, over the line. */
function pin({ ctx, bbox, valToPos }: uPlot, seconds: number | undefined): void {
  if (seconds === undefined) return;
  const x = valToPos(seconds, "x", true);
  if (x < bbox.left || x > bbox.left + bbox.width) return;
  ctx.fillStyle = token("--selected");
  ctx.fillRect(Math.round(x), bbox.top, Math.max(1, Math.round(devicePixelRatio)), bbox.height);
}

/** The chosen range as a tint, what is missing as hatching: both below the line. */
function shade(plot: uPlot, { data, range }: ChartProps): void {
  const { ctx, bbox } = plot;
  const x = (seconds: number): number =>
    Math.min(Math.max(plot.valToPos(seconds, "x", true), bbox.left), bbox.left + bbox.width);
  ctx.save();
  if (range !== undefined) {
    ctx.fillStyle = token("--selbg");
    ctx.fillRect(x(range[0]), bbox.top, x(range[1]) - x(range[0]), bbox.height);
  }
  ctx.strokeStyle = token("--line2");
  ctx.lineWidth = devicePixelRatio;
  const step = 5 * devicePixelRatio;
  for (const [from, to] of data.gaps) {
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
