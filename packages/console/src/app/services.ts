/** Who stands at each end of a flow: a service of this host (container, unit or process), or a remote host. */
import type { Endpoint, Flow, FlowProcess } from "./shapes.ts";

export type PartyKind = "container" | "unit" | "process" | "unknown" | "name" | "address";

/** One end of a flow. Its key stays the same over restarts of the process and of the node. */
export interface Party {
  readonly key: string;
  readonly kind: PartyKind;
  readonly label: string;
}

export type Side = "source" | "destination";

/** What runs here but could not be told: no socket of this host was seen for the flow. */
const unknown: Party = { key: "unknown", kind: "unknown", label: "this host" };

export function partyAt(flow: Flow, side: Side): Party {
  if (!isLocal(flow, side)) return remote(flow[side]);
  const process = processAt(flow, side);
  return process === null ? unknown : service(process);
}

export function isLocal({ place, direction, peerProcess }: Flow, side: Side): boolean {
  if (place === "loopback") return true;
  if (place === "forwarded") return false;
  return peerProcess !== null || (direction === "egress") === (side === "source");
}

/** `process` is that of the source, else of the local end; `peerProcess` is told only where both are local. */
export function processAt(flow: Flow, side: Side): FlowProcess | null {
  if (!isLocal(flow, side)) return null;
  if (!isLocal(flow, side === "source" ? "destination" : "source")) return flow.process;
  return side === "source" ? flow.process : flow.peerProcess;
}

/**
 * A container first, then a unit of systemd, then the process. Scopes (`session-1.scope`) are no service: they hold
 * whatever someone has started in a terminal.
 */
export function service({ container, unit, comm }: FlowProcess): Party {
  if (container !== null)
    return { key: `container:${container}`, kind: "container", label: container.slice(0, 12) };
  if (unit?.endsWith(".service") === true)
    return { key: `unit:${unit}`, kind: "unit", label: unit.slice(0, -".service".length) };
  return { key: `process:${comm}`, kind: "process", label: comm };
}

function remote({ name, ip }: Endpoint): Party {
  return name === null
    ? { key: `address:${ip}`, kind: "address", label: ip }
    : { key: `name:${name}`, kind: "name", label: name };
}

export const categories = 6;

/** The colour of a service, 1 to 6, the same on every page and after every start (FNV-1a of its key). */
export function category(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  return ((hash >>> 0) % categories) + 1;
}
