/**
 * The values of the metrics, and both of their forms. prom-client keeps and writes them; what it cannot do is done here:
 * totals and histograms that were counted elsewhere, and OpenMetrics beside the text format.
 */
import { createRequire } from "node:module";
import type { Counter, Gauge, Histogram, MetricDefinition, Metrics } from "@x0tta6bl4/core";
import type * as Prom from "prom-client";
import { telemetryFail } from "./errors.ts";

export interface Exposition {
  readonly contentType: string;
  readonly body: string;
}

export interface Registry extends Metrics {
  /** Runs before each exposition: for figures that are read rather than counted. */
  beforeScrape(update: () => void): void;
  /** @param accept the client's Accept header; OpenMetrics 1.0.0 if it asks for that, else text format 0.0.4. */
  expose(accept?: string): Promise<Exposition>;
}

type Instrument = Counter<string> | Gauge<string> | Histogram<string>;

/** Loaded with the first registry: worker threads that only need the catalogue save 9 MB each. */
const promClient = (): typeof Prom => createRequire(import.meta.url)("prom-client");

/** One object a definition, however often it is asked for, so that parts need not share their objects. */
export function createRegistry(): Registry {
  const prom = promClient();
  const text = new prom.Registry();
  const openMetrics = new prom.Registry<Prom.OpenMetricsContentType>();
  openMetrics.setContentType(prom.Registry.OPENMETRICS_CONTENT_TYPE);
  const instruments = new Map<string, { definition: MetricDefinition; instrument: Instrument }>();
  const updates: (() => void)[] = [];

  const instrumentOf = <T extends Instrument>(
    definition: MetricDefinition,
    make: () => [Prom.Metric, T],
  ): T => {
    const known = instruments.get(definition.name);
    if (known !== undefined) {
      if (known.definition !== definition)
        throw telemetryFail("X0_TELEMETRY_METRIC_CONFLICT", `${definition.name} is defined twice`);
      return known.instrument as T;
    }
    const [metric, instrument] = make();
    text.registerMetric(metric);
    // prom-client renames a counter when it writes OpenMetrics, and the text format would then lose `_total`:
    // the second registry gets an object that shares the values but has a name of its own.
    openMetrics.registerMetric(Object.create(metric) as Prom.Metric);
    instruments.set(definition.name, { definition, instrument });
    return instrument;
  };

  return {
    counter: (definition) => instrumentOf(definition, () => counterOf(definition)),
    gauge: (definition) => instrumentOf(definition, () => gaugeOf(definition)),
    histogram: (definition) => instrumentOf(definition, () => histogramOf(definition)),
    beforeScrape(update) {
      updates.push(update);
    },
    async expose(accept = "") {
      for (const update of updates) update();
      const registry = prefersOpenMetrics(accept) ? openMetrics : text;
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}

function configuration(definition: MetricDefinition) {
  const { name, help, labels } = definition;
  return { name, help, labelNames: labels, registers: [] };
}

function counterOf(definition: MetricDefinition): [Prom.Metric, Counter<string>] {
  const metric = new (promClient().Counter)(configuration(definition));
  const totals = new Map<string, number>();
  const counter: Counter<string> = {
    add: (labels, value) => metric.inc(labels, value),
    setTotal(labels, total) {
      const key = definition.labels.map((label) => labels[label]).join("\0");
      const before = totals.get(key) ?? 0;
      if (!(total >= before)) return;
      totals.set(key, total);
      metric.inc(labels, total - before);
    },
  };
  return [metric, counter];
}

function gaugeOf(definition: MetricDefinition): [Prom.Metric, Gauge<string>] {
  const metric = new (promClient().Gauge)(configuration(definition));
  return [metric, { set: (labels, value) => metric.set(labels, value) }];
}

/** Counts its buckets itself: prom-client's own histogram takes single observations only. */
function histogramOf(definition: MetricDefinition): [Prom.Metric, Histogram<string>] {
  const bounds = [...(definition.buckets ?? [])];
  const metric = new (promClient().Histogram)({ ...configuration(definition), buckets: bounds });
  const series = new Map<string, { labels: Record<string, string>; counts: number[]; sum: number }>();
  const seriesOf = (labels: Readonly<Record<string, string>>) => {
    const key = definition.labels.map((label) => labels[label]).join("\0");
    const known = series.get(key);
    if (known !== undefined) return known;
    const fresh = { labels: { ...labels }, counts: bounds.concat(0).fill(0), sum: 0 };
    series.set(key, fresh);
    return fresh;
  };
  const get = async () => {
    const { name, help } = definition;
    const values = [...series.values()].flatMap(({ labels, counts, sum }) => {
      let total = 0;
      const buckets = counts.map((count, index) => {
        total += count;
        return {
          labels: { le: bounds[index] ?? "+Inf", ...labels },
          value: total,
          metricName: `${name}_bucket`,
        };
      });
      return [
        ...buckets,
        { labels, value: sum, metricName: `${name}_sum` },
        { labels, value: total, metricName: `${name}_count` },
      ];
    });
    return { name, help, type: "histogram", values, aggregator: "sum" };
  };
  // The second is what the registry calls; it is not in prom-client's types.
  Object.assign(metric, { get, getForPromString: get });
  const histogram: Histogram<string> = {
    observe(labels, value) {
      const one = seriesOf(labels);
      const bucket = bounds.findIndex((bound) => value <= bound);
      const index = bucket < 0 ? bounds.length : bucket;
      one.counts[index] = (one.counts[index] as number) + 1;
      one.sum += value;
    },
    setTotals(labels, counts, sum) {
      const one = seriesOf(labels);
      one.counts = [...counts];
      one.sum = sum;
    },
  };
  return [metric, histogram];
}

/** RFC 9110 §12.5.1, as far as two formats need it: the greater quality wins, the text format on a tie. */
function prefersOpenMetrics(accept: string): boolean {
  let openMetrics = 0;
  let text = 0;
  for (const range of accept.split(",")) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    const q = Number(parameters.find((parameter) => parameter.startsWith("q="))?.slice(2) ?? 1);
    const version = parameters.find((parameter) => parameter.startsWith("version="))?.slice(8) ?? "";
    if (type === "application/openmetrics-text" && (version === "" || version.startsWith("1.0")))
      openMetrics = Math.max(openMetrics, q);
    else if (["text/plain", "text/*", "*/*"].includes(type)) text = Math.max(text, q);
  }
  return openMetrics > text;
}
