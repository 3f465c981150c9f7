/** Queries on the live table: the filters that the kernel form answers come first, the others need the whole flow. */
import { parseMoment } from "@x0tta6bl4/core";
import { flowsFail } from "../errors.ts";
import type { FlowEvent } from "../event.ts";
import { compileFilter, parseAddressPrefix, processTest, requireProtocol } from "../filter.ts";
import type { Flow, FlowQuery } from "../flow.ts";
import { type Names, passes, type RawFilter } from "./describe.ts";
import { type Raw, word } from "./table.ts";

/** What the kernel form answers. */
const rawKeys: readonly string[] = ["protocol", "port", "ip", "since", "until", "process"];
const pageKeys: readonly string[] = ["last", "limit", "after"];

/** All filters of a query, the cheap ones first. @throws X0_FLOWS_INVALID_FILTER */
export function compileQuery(
  query: FlowQuery,
  nowMs: number,
  names: Names,
): (slot: number, raw: Raw, flowOf: (slot: number) => Flow) => boolean {
  const filter: RawFilter = {
    ...(query.protocol === undefined ? {} : { protocol: requireProtocol(query.protocol) }),
    ...(query.port === undefined ? {} : { port: query.port }),
    ...(query.ip === undefined ? {} : { prefix: parseAddressPrefix(query.ip) }),
    ...(query.since === undefined ? {} : { sinceMs: parseMoment(query.since, nowMs) }),
    ...(query.until === undefined ? {} : { untilMs: parseMoment(query.until, nowMs) }),
  };
  const isWanted = query.process === undefined ? undefined : processTest(query.process);
  const needsFlow = Object.entries(query).some(
    ([key, value]) => value !== undefined && !rawKeys.includes(key) && !pageKeys.includes(key),
  );
  const matches = needsFlow ? compileFilter(query, nowMs) : undefined;
  return (slot, raw, flowOf) => {
    if (!passes(raw, filter, names)) return false;
    const isProcess =
      isWanted === undefined ||
      [0, 2].some((side) => {
        const at = raw.flow + word.process + side;
        return isWanted(names.process(raw.words[at] as number, raw.words[at + 1] as number));
      });
    return isProcess && (matches === undefined || matches(flowOf(slot)));
  };
}

/** Filters on an event whose flow is not known: what it does not say matches nothing. @throws X0_FLOWS_INVALID_FILTER */
export function compileEventFilter(query: FlowQuery, nowMs: number): (event: FlowEvent) => boolean {
  const matches = compileFilter(query, nowMs);
  return (event) =>
    matches({
      ...event,
      // It has no end of its own, and names one process only.
      start: event.time,
      end: event.time,
      peerProcess: null,
      drops: event.kind === "drop" ? { packets: 1, reason: event.reason } : null,
    });
}

/** @throws X0_FLOWS_INVALID_FILTER */
export function parseCursor(text: string): { firstNs: number; id: number } {
  const match = /^(\d+)-(\d+)$/.exec(text);
  if (match === null)
    throw flowsFail("X0_FLOWS_INVALID_FILTER", `after cannot be "${text}"`, {
      hint: "pass `next` of the answer before",
    });
  return { firstNs: Number(match[1]), id: Number(match[2]) };
}
