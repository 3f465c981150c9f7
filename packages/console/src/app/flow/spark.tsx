/** The round-trip time of a flow while someone looks at it. */
import { useRef } from "preact/hooks";
import { latency } from "../format.ts";
import type { Flow } from "../shapes.ts";

export interface RttSample {
  readonly atMs: number;
  readonly rttMs: number;
}

/** Five minutes of a flow that changes every second. */
const mostSamples = 300;

/** Grows by one with every change of the flow; begins anew with another flow. */
export function useRttSamples(flow: Flow | undefined): readonly RttSample[] {
  const kept = useRef<{ readonly id: string; readonly samples: RttSample[] }>(undefined);
  if (flow === undefined) return [];
  if (kept.current?.id !== flow.id) kept.current = { id: flow.id, samples: [] };
  const { samples } = kept.current;
  const rttMs = flow.tcp?.rttMs ?? null;
  const atMs = Date.parse(flow.end);
  if (rttMs !== null && atMs > (samples.at(-1)?.atMs ?? 0)) {
    samples.push({ atMs, rttMs });
    if (samples.length > mostSamples) samples.shift();
  }
  return samples;
}

const [width, height] = [300, 36];

export function Spark({ samples }: { samples: readonly RttSample[] }) {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined || samples.length < 2) return null;
  const most = Math.max(...samples.map(({ rttMs }) => rttMs));
  const points = samples.map(({ atMs, rttMs }) => {
    const x = ((atMs - first.atMs) / (last.atMs - first.atMs)) * width;
    return `${x.toFixed(1)} ${(height - 2 - (rttMs / most) * (height - 4)).toFixed(1)}`;
  });
  const label = `RTT since this was opened: at most ${latency(most)}, now ${latency(last.rttMs)}`;
  return (
    <figure class="spark">
      <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={label}>
        <path class="floor" d={`M0 ${height - 1}H${width}`} />
        <path d={`M${points.join("L")}`} />
      </svg>
      <figcaption class="s">{label}</figcaption>
    </figure>
  );
}
