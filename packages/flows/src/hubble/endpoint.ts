/** A side of a flow as Hubble's Endpoint: this host with its process, or the world. */
import type { FlowProcess } from "../flow.ts";
import type { Values } from "./codec.ts";
import { identity } from "./schema.ts";

export interface Workload {
  readonly name: string;
  readonly kind: string;
}

export interface Endpoint extends Values {
  readonly identity: number;
  readonly labels: readonly string[];
  readonly pod_name?: string;
  readonly workloads?: readonly Workload[];
}

export const worldEndpoint: Endpoint = { identity: identity.world, labels: ["reserved:world"] };
const hostEndpoint: Endpoint = { identity: identity.host, labels: ["reserved:host"] };

/** Docker's and Kubernetes' tools show so much of a container's id. */
const SHORT_ID = 12;

/**
 * This host. A container, else the systemd unit, stands for workload and pod; there are no Kubernetes namespaces here,
 * so the namespace stays empty.
 */
export function localEndpoint(process: FlowProcess | null): Endpoint {
  if (process === null) return hostEndpoint;
  const { container, unit } = process;
  const labels = ["reserved:host", `process=${process.comm}`];
  if (unit !== null) labels.push(`unit=${unit}`);
  if (container !== null) labels.push(`container=${container}`);
  const workload = workloadOf(process);
  if (workload === undefined) return { identity: identity.host, labels };
  return { identity: identity.host, labels, pod_name: workload.name, workloads: [workload] };
}

/** `Container`, or systemd's kind of unit: `Service`, `Scope`. */
export function workloadOf({ container, unit }: FlowProcess): Workload | undefined {
  if (container !== null) return { name: container.slice(0, SHORT_ID), kind: "Container" };
  if (unit === null) return undefined;
  const kind = unit.slice(unit.lastIndexOf(".") + 1);
  return { name: unit, kind: kind.charAt(0).toUpperCase() + kind.slice(1) };
}
