/** A chart as a file of its own: the same lines, hatched gaps, labels and colours as on the screen, without scripts. */
import { timeLabels, timeTicks } from "./axis.ts";
import { type ChartData, niceTop } from "./series.ts";

export interface SvgColours {
  readonly ground: string;
  readonly ink: string;
  readonly area: string;
  readonly label: string;
  readonly line: string;
  readonly hatch: string;
}

export interface SvgOptions {
  readonly title: string;
  readonly scope: string;
  readonly colours: SvgColours;
  readonly tick: (value: number) => string;
  readonly width?: number;
  readonly height?: number;
}

const [left, right, top, bottom] = [56, 12, 32, 24];

export function chartSvg(data: ChartData, options: SvgOptions): string {
  const { title, scope, colours, tick, width = 800, height = 240 } = options;
  const highest = niceTop(Math.max(0, ...data.values.map((value) => value ?? 0)));
  const x = (second: number): number =>
    round(left + ((second - data.from) / (data.to - data.from)) * (width - left - right));
  const y = (value: number): number => round(height - bottom - (value / highest) * (height - top - bottom));
  const ticks = timeTicks(data.from, data.to, width - left - right);
  const labels = timeLabels(ticks);
  const floor = y(0);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="11">`,
    `<title>${escapeXml(`${title}, ${scope}`)}</title>`,
    `<defs><pattern id="gap" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V5" stroke="${colours.hatch}"/></pattern><clipPath id="plot"><rect x="${left}" y="${top}" width="${width - left - right}" height="${height - top - bottom}"/></clipPath></defs>`,
    `<rect width="${width}" height="${height}" fill="${colours.ground}"/>`,
    `<text x="${left}" y="18" fill="${colours.ink}" font-weight="600" font-size="13">${escapeXml(title)}<tspan dx="8" font-weight="400" font-size="11" fill="${colours.label}">${escapeXml(scope)}</tspan></text>`,
    ...[0, highest / 2, highest].map(
      (value) =>
        `<path d="M${left} ${y(value)}H${width - right}" stroke="${colours.line}"/><text x="${left - 6}" y="${y(value) + 4}" text-anchor="end" fill="${colours.label}">${escapeXml(tick(value))}</text>`,
    ),
    ...ticks.map(
      (second, index) =>
        `<text x="${x(second)}" y="${height - 8}" text-anchor="middle" fill="${colours.label}">${labels[index]}</text>`,
    ),
    `<g clip-path="url(#plot)">`,
    ...data.gaps.map(
      ([from, to]) =>
        `<rect x="${x(from)}" y="${top}" width="${round(x(to) - x(from))}" height="${floor - top}" fill="url(#gap)"/>`,
    ),
    ...runs(data).map((run) => {
      const line = run.map(([second, value]) => `${x(second)} ${y(value)}`).join("L");
      const [first, last] = [run[0] as Point, run.at(-1) as Point];
      return `<path d="M${x(first[0])} ${floor}L${line}L${x(last[0])} ${floor}z" fill="${colours.area}"/><path d="M${line}h0" fill="none" stroke="${colours.ink}" stroke-width="1.25" stroke-linecap="round"/>`;
    }),
    "</g></svg>",
  ].join("\n");
}

type Point = readonly [second: number, value: number];

/** Points between two gaps. */
function runs({ seconds, values }: ChartData): readonly (readonly Point[])[] {
  const found: Point[][] = [[]];
  for (const [index, second] of seconds.entries()) {
    const value = values[index];
    if (value === null || value === undefined) found.push([]);
    else found.at(-1)?.push([second, value]);
  }
  return found.filter((run) => run.length > 0);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

export function escapeXml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
  };
  return text.replace(/[&<>"]/g, (character) => entities[character] as string);
}
