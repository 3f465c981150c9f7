/** The filters of events, and what lets a block of them be passed by. */
import { parseAddress } from "../address.ts";
import type { FlowEvent } from "../event.ts";
import { inPrefix, nameTest, parseAddressPrefix, requireMoment } from "../filter.ts";
import type { EventQuery } from "./event-schema.ts";

/** Requests are not kept one by one: a flow tells how many it had. */
export const keptKinds = ["dns", "drop", "scan"] as const;

/** What events of a block have among them, so that the block can be passed by. */
export interface EventKeys {
  readonly kinds: readonly string[];
  readonly ips: readonly string[];
  readonly names: readonly string[];
  readonly flows: readonly string[];
}

export function keysOf(events: readonly FlowEvent[]): EventKeys {
  const kinds = new Set<string>();
  const ips = new Set<string>();
  const names = new Set<string>();
  const flows = new Set<string>();
  for (const event of events) {
    kinds.add(event.kind);
    ips.add(event.source.ip).add(event.destination.ip);
    for (const name of namesOf(event)) names.add(name);
    if (event.flow !== null) flows.add(event.flow);
  }
  return { kinds: [...kinds], ips: [...ips], names: [...names], flows: [...flows] };
}

function namesOf(event: FlowEvent): readonly string[] {
  const names = [event.source.name, event.destination.name, event.kind === "dns" ? event.name : null];
  return names.filter((name) => name !== null);
}

export interface EventFilter {
  mayMatch(keys: EventKeys): boolean;
  matches(event: FlowEvent): boolean;
  readonly sinceMs: number;
  readonly untilMs: number;
}

/** @throws X0_FLOWS_INVALID_FILTER */
export function compileEventFilter(query: Omit<EventQuery, "limit">, nowMs: number): EventFilter {
  const { kind, flow } = query;
  const prefix = query.ip === undefined ? undefined : parseAddressPrefix(query.ip);
  const isName = query.name === undefined ? undefined : nameTest(query.name);
  const isIp = (ip: string): boolean => {
    const bytes = parseAddress(ip);
    return prefix === undefined || (bytes !== undefined && inPrefix(bytes, prefix));
  };
  const sinceMs =
    query.since === undefined ? Number.NEGATIVE_INFINITY : requireMoment("since", query.since, nowMs);
  const untilMs =
    query.until === undefined ? Number.POSITIVE_INFINITY : requireMoment("until", query.until, nowMs);
  return {
    sinceMs,
    untilMs,
    mayMatch: (keys) =>
      (kind === undefined || keys.kinds.includes(kind)) &&
      (flow === undefined || keys.flows.includes(flow)) &&
      (prefix === undefined || keys.ips.some(isIp)) &&
      (isName === undefined || keys.names.some(isName)),
    matches(event) {
      const timeMs = Date.parse(event.time);
      return (
        timeMs >= sinceMs &&
        timeMs < untilMs &&
        (kind === undefined || event.kind === kind) &&
        (flow === undefined || event.flow === flow) &&
        (prefix === undefined || isIp(event.source.ip) || isIp(event.destination.ip)) &&
        (isName === undefined || namesOf(event).some(isName))
      );
    },
  };
}
