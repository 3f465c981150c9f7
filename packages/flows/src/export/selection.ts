/** What of all flows and events an export takes: `allow` and `deny`, with the filters of every other surface. */
import type { FlowEvent } from "../event.ts";
import { compileFilter, type FlowFacts } from "../filter.ts";
import type { Flow, FlowQuery } from "../flow.ts";

/** The conditions of a query without its limits and times. */
export type ExportFilter = Omit<Partial<FlowQuery>, "since" | "until" | "last" | "limit" | "after">;

export interface Selection {
  /** Whether nothing is left out, so that no flow need be looked at. */
  readonly isAll: boolean;
  flow(flow: Flow): boolean;
  /** An event is judged as its flow would be, by what it says of it. */
  event(event: FlowEvent): boolean;
}

/**
 * Taken is what an `allow` matches, or anything where there is none, unless a `deny` matches.
 * @throws X0_FLOWS_INVALID_FILTER
 */
export function compileSelection(allow: readonly ExportFilter[], deny: readonly ExportFilter[]): Selection {
  const compile = (filter: ExportFilter) => compileFilter(filter, 0);
  const [allowed, denied] = [allow.map(compile), deny.map(compile)];
  const isTaken = (facts: FlowFacts): boolean =>
    (allowed.length === 0 || allowed.some((matches) => matches(facts))) &&
    !denied.some((matches) => matches(facts));
  return {
    isAll: allow.length === 0 && deny.length === 0,
    flow: isTaken,
    event: (event) => isTaken(factsOf(event)),
  };
}

function factsOf(event: FlowEvent): FlowFacts {
  const { kind, time, flow, source, destination, protocol, process } = event;
  return {
    ...(flow === null ? {} : { id: flow }),
    start: time,
    end: time,
    source,
    destination,
    protocol,
    process,
    peerProcess: null,
    drops: kind === "drop" ? { packets: 1, reason: event.reason } : null,
  };
}
