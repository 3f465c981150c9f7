/** Flows and events as OTLP log records in the JSON encoding (opentelemetry/proto/logs/v1/logs.proto). */
import type { FlowEvent } from "../../event.ts";
import type { Flow } from "../../flow.ts";
import type { changes } from "../../recording/record.ts";
import { type Attributes, eventAttributes, flowAttributes, masked, type Value } from "./attributes.ts";

export interface LogRecords {
  /** Counters in it are since the flow began. */
  flow(flow: Flow, change: (typeof changes)[number], observedMs: number): string;
  event(event: FlowEvent, observedMs: number): string;
  /** What stands before and after the records of a request; a comma between them. */
  readonly before: string;
  readonly after: string;
}

export interface LogOptions {
  /** Names of the attributes to keep; all where there are none. */
  readonly fields: readonly string[];
  readonly hostName: string;
  readonly version: string;
}

const info = { severityNumber: 9, severityText: "INFO" } as const;
const warning = { severityNumber: 13, severityText: "WARN" } as const;

export function logRecords({ fields, hostName, version }: LogOptions): LogRecords {
  const ofFlow = masked(flowAttributes, fields);
  const ofEvent = Object.fromEntries(
    Object.entries(eventAttributes).map(([kind, table]) => [
      kind,
      masked(table as Attributes<FlowEvent>, fields),
    ]),
  );
  const resource = {
    attributes: [
      { key: "service.name", value: anyValue("x0tta6bl4") },
      { key: "service.version", value: anyValue(version) },
      { key: "host.name", value: anyValue(hostName) },
    ],
  };
  const scope = { name: "x0tta6bl4/flows", version };
  return {
    flow: (flow, change, observedMs) =>
      JSON.stringify({
        timeUnixNano: nanoseconds(Date.parse(change === "start" ? flow.start : flow.end)),
        observedTimeUnixNano: nanoseconds(observedMs),
        ...info,
        eventName: `x0tta6bl4.flow.${change}`,
        body: { stringValue: `${change} of a ${flow.protocol} flow ${wayOf(flow)}` },
        attributes: listed(ofFlow, flow),
      }),
    event: (event, observedMs) =>
      JSON.stringify({
        timeUnixNano: nanoseconds(Date.parse(event.time)),
        observedTimeUnixNano: nanoseconds(observedMs),
        ...(event.kind === "drop" || event.kind === "scan" ? warning : info),
        eventName: `x0tta6bl4.flow.${event.kind}`,
        body: { stringValue: sentenceOf(event) },
        attributes: listed(ofEvent[event.kind] as Attributes<FlowEvent>, event),
      }),
    before: `{"resourceLogs":[{"resource":${JSON.stringify(resource)},"scopeLogs":[{"scope":${JSON.stringify(scope)},"logRecords":[`,
    after: "]}]}]}",
  };
}

function sentenceOf(event: FlowEvent): string {
  switch (event.kind) {
    case "dns":
      return `${event.type} of ${event.name}: ${event.rcode ?? "no answer"}`;
    case "request":
      return [event.application, event.method, event.target, event.status].filter(Boolean).join(" ");
    case "drop":
      return `dropped, ${event.reason}: ${wayOf(event)}`;
    case "scan":
      return `scan of ${event.scan}, ${event.count} in ${event.seconds} s: ${wayOf(event)}`;
  }
}

function wayOf({ source, destination }: Pick<Flow, "source" | "destination">): string {
  return `${endOf(source)} -> ${endOf(destination)}`;
}

function endOf({ ip, port }: Flow["source"]): string {
  if (port === 0) return ip;
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function listed<T>(table: Attributes<T>, of: T): object[] {
  const list = [];
  for (const [key, read] of Object.entries(table)) {
    const value = read(of);
    if (value !== null && value !== undefined) list.push({ key, value: anyValue(value) });
  }
  return list;
}

function anyValue(value: NonNullable<Value>): object {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "number")
    return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  return { arrayValue: { values: value.map((each) => ({ stringValue: each })) } };
}

/** 64-bit numbers are text in protobuf's JSON. */
function nanoseconds(milliseconds: number): string {
  return `${Math.round(milliseconds)}000000`;
}
