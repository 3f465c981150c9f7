/**
 * Hubble's JSON of flows: what `hubble observe -o jsonpb` writes and `hubble observe --input-file` reads, one object a
 * line, `{"flow":{…},"node_name":…,"time":…}`.
 */
import { hostname } from "node:os";
import type { FlowEvent } from "../event.ts";
import type { RecordReader } from "../recording/record.ts";
import { jsonOf, type Values } from "./codec.ts";
import { flowOfEvent, flowsInEvent } from "./from-event.ts";
import { type Emitter, flowOfSighting, SIGHTINGS, sightingsOf } from "./from-record.ts";
import { applyMask, type FieldMask, parseMask } from "./mask.ts";
import { flowMessage, getFlowsResponse } from "./schema.ts";

export interface HubbleJsonOptions {
  /** The host's name when absent. */
  readonly nodeName?: string;
  readonly version?: string;
  /** Which fields of the flow; all when absent. */
  readonly fieldMask?: FieldMask | undefined;
  readonly isLocal?: (ip: string) => boolean;
}

/** @param paths like `source.pod_name`; all fields when empty. @throws RangeError that names an unknown path */
export function hubbleFieldMask(paths: readonly string[]): FieldMask | undefined {
  return parseMask(flowMessage, paths);
}

/** The lines of one record; none where it says nothing that Hubble would. */
export function hubbleJsonLines(
  records: RecordReader,
  index: number,
  options: HubbleJsonOptions = {},
): string[] {
  const emitter = emitterOf(options);
  const set = sightingsOf(records.words, records.doubles, index);
  const lines: string[] = [];
  for (let bit = 0; bit < SIGHTINGS; bit++)
    if (set & (1 << bit)) lines.push(line(flowOfSighting(records, index, 1 << bit, emitter), options));
  return lines;
}

/** The lines of an event, with line feeds between: a question and its answer are two. Empty for a scan. */
export function hubbleJsonOfEvent(event: FlowEvent, options: HubbleJsonOptions = {}): string {
  const emitter = emitterOf(options);
  return Array.from({ length: flowsInEvent(event) }, (_, part) =>
    line(flowOfEvent(event, part, emitter), options),
  ).join("\n");
}

function line(flow: Values, { fieldMask }: HubbleJsonOptions): string {
  const { node_name, time } = flow;
  return JSON.stringify(jsonOf(getFlowsResponse, { flow: applyMask(fieldMask, flow), node_name, time }));
}

function emitterOf({
  nodeName = hostname(),
  version = "",
  isLocal = isLoopbackText,
}: HubbleJsonOptions): Emitter {
  return { nodeName, version, isLocal };
}

function isLoopbackText(ip: string): boolean {
  return ip.startsWith("127.") || ip === "::1";
}
