/**
 * A strict reader of what `/metrics` answers, written from the two specifications and not from the writer:
 * Prometheus text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats) and OpenMetrics 1.0.0.
 */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}
export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

const suffixes: Readonly<Record<"text" | "openmetrics", Readonly<Record<string, readonly string[]>>>> = {
  text: { counter: [""], gauge: [""], histogram: ["_bucket", "_sum", "_count"] },
  openmetrics: { counter: ["_total"], gauge: [""], histogram: ["_bucket", "_sum", "_count"] },
};

/** @throws Error on the first line that the format does not allow. */
export function parseExposition(body: string, format: "text" | "openmetrics"): Map<string, Family> {
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  if (!body.endsWith("\n")) throw new Error("the last line does not end");
  const lines = body.slice(0, -1).split("\n");
  if (format === "openmetrics" && lines.pop() !== "# EOF") throw new Error("no # EOF at the end");
  let help: { name: string; text: string } | undefined;
  let family: Family | undefined;
  for (const line of lines) {
    if (line === "" && format === "text") continue;
    const meta = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line);
    if (meta !== null) {
      const [, kind, name, rest] = meta as unknown as [string, string, string, string];
      if (kind === "HELP") {
        help = { name, text: rest };
      } else {
        if (help?.name !== name) throw new Error(`TYPE without HELP: ${line}`);
        if (families.has(name)) throw new Error(`family twice: ${name}`);
        if (suffixes[format][rest] === undefined) throw new Error(`unknown type: ${line}`);
        if (format === "openmetrics" && rest === "counter" && name.endsWith("_total"))
          throw new Error(`a counter's family must not end in _total: ${line}`);
        family = { name, type: rest, help: help.text, samples: [] };
        families.set(name, family);
      }
      continue;
    }
    const sample = parseSample(line);
    const key = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`;
    if (seen.has(key)) throw new Error(`sample twice: ${line}`);
    seen.add(key);
    const allowed = family === undefined ? [] : (suffixes[format][family.type] ?? []);
    if (family === undefined || !allowed.some((suffix) => sample.name === family?.name + suffix))
      throw new Error(`sample outside of its family: ${line}`);
    if (family.type === "counter" && !(sample.value >= 0)) throw new Error(`negative counter: ${line}`);
    family.samples.push(sample);
  }
  for (const each of families.values()) if (each.type === "histogram") checkHistogram(each);
  return families;
}

function parseSample(line: string): Sample {
  const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (match === null) throw new Error(`not a sample: ${line}`);
  const labels: Record<string, string> = {};
  let rest = match[2] ?? "";
  while (rest !== "") {
    const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/.exec(rest);
    if (label === null) throw new Error(`not a label: ${rest} in ${line}`);
    const name = label[1] as string;
    if (name in labels) throw new Error(`label twice: ${line}`);
    labels[name] = (label[2] as string).replace(/\\(.)/g, (_, escaped) => (escaped === "n" ? "\n" : escaped));
    rest = rest.slice(label[0].length);
  }
  const number = match[3] as string;
  const value = number === "+Inf" ? Number.POSITIVE_INFINITY : Number(number);
  if (Number.isNaN(value) && number !== "NaN") throw new Error(`not a number: ${line}`);
  return { name: match[1] as string, labels, value };
}

/** Buckets ascend, never fall, and the last one is +Inf and equal to the count. */
function checkHistogram(family: Family): void {
  const series = Map.groupBy(family.samples, ({ labels: { le: _, ...others } }) => JSON.stringify(others));
  for (const samples of series.values()) {
    const buckets = samples.filter((sample) => sample.name.endsWith("_bucket"));
    for (const [index, bucket] of buckets.entries()) {
      const before = buckets[index - 1];
      if (before === undefined) continue;
      if (bound(bucket) <= bound(before) || bucket.value < before.value)
        throw new Error(`buckets out of order: ${family.name}`);
    }
    const last = buckets.at(-1);
    const count = samples.find((sample) => sample.name.endsWith("_count"));
    if (last === undefined || bound(last) !== Number.POSITIVE_INFINITY || last.value !== count?.value)
      throw new Error(`no closing bucket: ${family.name}`);
  }
}

function bound(sample: Sample): number {
  const le = sample.labels["le"];
  return le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le);
}
