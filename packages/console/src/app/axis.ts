/** Where the labels of a time axis stand, and what they say: full minutes, hours or days of the viewer's zone. */

const steps = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800,
  604_800,
];
const two = (value: number): string => String(value).padStart(2, "0");

/** Seconds from `from` to `to` that get a label, with at least 72 pixels from one to the next. */
export function timeTicks(from: number, to: number, width: number): number[] {
  const perPixel = (to - from) / Math.max(width, 1);
  const step = steps.find((seconds) => seconds / perPixel >= 72) ?? (steps.at(-1) as number);
  const half = perPixel * 18;
  // Hours and days begin where the viewer's do.
  const shift = new Date(from * 1000).getTimezoneOffset() * 60;
  const found: number[] = [];
  const first = Math.ceil((from + half - shift) / step) * step + shift;
  for (let second = first; second <= to - half; second += step) found.push(second);
  return found;
}

/** "08:30", with seconds where minutes repeat, "31 Jan" at a midnight. */
export function timeLabels(ticks: readonly number[]): string[] {
  const withSeconds = ticks.some((second) => second % 60 !== 0);
  const long = (ticks.at(-1) ?? 0) - (ticks[0] ?? 0) >= 43_200;
  return ticks.map((second) => {
    const at = new Date(second * 1000);
    if (long && at.getHours() === 0 && at.getMinutes() === 0)
      return `${at.getDate()} ${at.toLocaleString("en", { month: "short" })}`;
    const minutes = `${two(at.getHours())}:${two(at.getMinutes())}`;
    return withSeconds ? `${minutes}:${two(at.getSeconds())}` : minutes;
  });
}
