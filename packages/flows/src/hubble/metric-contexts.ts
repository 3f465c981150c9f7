/** The labels of source and destination that Hubble's metrics take by their options: `sourceContext=workload|ip`. */
import type { Values } from "./codec.ts";
import { trafficDirection } from "./schema.ts";

type Side = "source" | "destination";

/** One way to name a side of a flow; empty where it does not apply, and then the next one is tried. */
type Identifier = (flow: Values, side: Side) => string;

const identifiers: Readonly<Record<string, Identifier>> = {
  identity: (flow, side) => flow[side].labels.join(","),
  namespace: () => "",
  pod: (flow, side) => flow[side].pod_name ?? "",
  "pod-name": (flow, side) => flow[side].pod_name ?? "",
  dns: (flow, side) => flow[`${side}_names`].join(","),
  ip: (flow, side) => flow["IP"][side],
  "reserved-identity": (flow, side) =>
    flow[side].labels.find((label: string) => label.startsWith("reserved:")) ?? "",
  workload: (flow, side) => flow[side].workloads?.[0]?.name ?? "",
  "workload-name": (flow, side) => flow[side].workloads?.[0]?.name ?? "",
  app: () => "",
  // Beyond Hubble's: what a plain host knows.
  process: (flow, side) => labelOf(flow[side].labels, "process="),
};

function labelOf(labels: readonly string[], prefix: string): string {
  return labels.find((label) => label.startsWith(prefix))?.slice(prefix.length) ?? "";
}

const labelReaders: Readonly<Record<string, Identifier>> = {
  ip: (flow, side) => flow["IP"][side],
  pod: identifiers["pod"] as Identifier,
  namespace: () => "",
  workload: identifiers["workload"] as Identifier,
  workload_kind: (flow, side) => flow[side].workloads?.[0]?.kind ?? "",
  app: () => "",
  process: identifiers["process"] as Identifier,
};

const sides = ["source", "destination"] as const;
const contextLabels = [
  ...sides.flatMap((side) => Object.keys(labelReaders).map((label) => `${side}_${label}`)),
  "traffic_direction",
];

type Way = "any" | "egress" | "ingress";

export interface Contexts {
  readonly source: Readonly<Partial<Record<Way, readonly Identifier[]>>>;
  readonly destination: Readonly<Partial<Record<Way, readonly Identifier[]>>>;
  /** Of `labelsContext`, in the order of `contextLabels`. */
  readonly labels: readonly string[];
}

export const noContexts: Contexts = { source: {}, destination: {}, labels: [] };

/** `contexts` with one more option. @throws RangeError that says what is not known */
export function contextOption(contexts: Contexts, key: string, value: string): Contexts {
  const name = key.toLowerCase();
  if (name === "labelscontext") {
    const wanted = value.split(",");
    const unknown = wanted.find((label) => !contextLabels.includes(label));
    if (unknown !== undefined)
      throw new RangeError(`has no label "${unknown}": there are ${contextLabels.join(", ")}`);
    return { ...contexts, labels: contextLabels.filter((label) => wanted.includes(label)) };
  }
  const match = /^(source|destination)(egress|ingress|)context$/.exec(name);
  if (match === null) throw new RangeError(`has no option "${key}"`);
  const side = match[1] as Side;
  const way = (match[2] || "any") as Way;
  const list = value.split("|").map((one) => {
    const identifier = identifiers[one.toLowerCase()];
    if (identifier === undefined)
      throw new RangeError(`has no context "${one}": there are ${Object.keys(identifiers).join(", ")}`);
    return identifier;
  });
  return { ...contexts, [side]: { ...contexts[side], [way]: list } };
}

export function contextLabelNames({ source, destination, labels }: Contexts): string[] {
  return [
    ...labels,
    ...(Object.keys(source).length > 0 ? ["source"] : []),
    ...(Object.keys(destination).length > 0 ? ["destination"] : []),
  ];
}

/**
 * Values of `contextLabelNames`, in their order.
 *
 * @param inverted for what is counted at the answer, whose source is the one that was asked.
 */
export function contextLabelValues(contexts: Contexts, flow: Values, inverted: boolean): string[] {
  const { source, destination, labels } = contexts;
  const real = (side: Side): Side => (inverted ? (side === "source" ? "destination" : "source") : side);
  const values = labels.map((label) => {
    if (label === "traffic_direction")
      return (trafficDirection.names.get(flow["traffic_direction"] ?? 0) ?? "").toLowerCase();
    const side = label.startsWith("source_") ? "source" : "destination";
    return labelReaders[label.slice(side.length + 1)]?.(flow, real(side)) ?? "";
  });
  if (Object.keys(source).length > 0) values.push(contextOf(source, flow, real("source")));
  if (Object.keys(destination).length > 0) values.push(contextOf(destination, flow, real("destination")));
  return values;
}

function contextOf(lists: Contexts["source"], flow: Values, side: Side): string {
  const isEgress = flow["traffic_direction"] === trafficDirection.numbers["EGRESS"];
  const list = (isEgress ? lists.egress : lists.ingress) ?? lists.any ?? [];
  for (const identifier of list) {
    const value = identifier(flow, side);
    if (value !== "") return value;
  }
  return "";
}
