/**
 * The option of Hubble that chooses its metrics, `--hubble-metrics`:
 * `flow:sourceContext=workload|ip;destinationContext=dns`, `dns:query;ignoreAAAA`, `tcp`.
 */
import { flowsFail } from "../errors.ts";
import { type Contexts, contextOption, noContexts } from "./metric-contexts.ts";

export interface MetricChoice {
  readonly name: MetricName;
  readonly contexts: Contexts;
  /** The metric's own options, as `query` and `port`. */
  readonly flags: ReadonlySet<string>;
}

/** Metrics and the options that they have of their own. */
const known = {
  dns: ["query", "ignoreaaaa"],
  drop: [],
  flow: [],
  "flows-to-world": ["any-drop", "port", "syn-only"],
  http: ["exemplars"],
  httpV2: ["exemplars"],
  icmp: [],
  policy: [],
  "port-distribution": [],
  tcp: [],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type MetricName = keyof typeof known;

const unsupported: Readonly<Record<string, string>> = {
  sctp: "chunks of SCTP are not read",
};

/** @throws X0_FLOWS_HUBBLE_METRICS that names what is wrong */
export function parseMetricChoices(texts: readonly string[]): MetricChoice[] {
  const choices = texts.map(parseChoice);
  const names = choices.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw invalid(twice, "is there twice");
  if (names.includes("http") && names.includes("httpV2"))
    throw invalid("http", "and httpV2 have metrics of the same names: choose one");
  return choices;
}

function parseChoice(text: string): MetricChoice {
  const [name = "", ...rest] = text.split(":");
  if (unsupported[name] !== undefined) throw invalid(name, `is not counted here: ${unsupported[name]}`);
  if (!isKnown(name)) throw invalid(name, `is none of ${Object.keys(known).join(", ")}`);
  let contexts = noContexts;
  const flags = new Set<string>();
  for (const option of rest
    .join(":")
    .split(";")
    .filter((one) => one !== "")) {
    const [key = "", value] = option.split("=", 2);
    const own: readonly string[] = known[name];
    if (own.includes(key.toLowerCase())) {
      if (value !== "false") flags.add(key.toLowerCase());
      continue;
    }
    try {
      contexts = contextOption(contexts, key, value ?? "");
    } catch (error) {
      throw invalid(name, (error as RangeError).message);
    }
  }
  return { name, contexts, flags };
}

function isKnown(name: string): name is MetricName {
  return Object.hasOwn(known, name);
}

function invalid(name: string, why: string) {
  return flowsFail("X0_FLOWS_HUBBLE_METRICS", `flows.hubble_metrics: ${name} ${why}`, {
    hint: 'write entries like "tcp" or "flow:sourceContext=workload|ip;destinationContext=dns"',
  });
}
