/** One place that flows go to: `[[flows.exports]]`. */
import { messageOf, parseMoment, parseSize, X0Error } from "@x0tta6bl4/core";
import { z } from "zod";
import { flowQuerySchema } from "../flow.ts";
import { hubbleFieldMask } from "../hubble/json.ts";
import { elementNames } from "./ipfix/elements.ts";
import { attributeNames } from "./otlp/attributes.ts";
import { compileSelection } from "./selection.ts";
import { hostOf, parseTarget } from "./target.ts";

const SMALLEST_FILE = 64 * 1024;

const target = z.string().superRefine((text, context) => {
  const parsed = parseTarget(text);
  if (typeof parsed === "string") context.addIssue({ code: "custom", message: parsed });
});

const filter = z
  .strictObject(
    flowQuerySchema.omit({ since: true, until: true, last: true, limit: true, after: true }).shape,
  )
  .superRefine((given, context) => {
    try {
      compileSelection([given], []);
    } catch (error) {
      if (!(error instanceof X0Error)) throw error;
      const message = error.hint === undefined ? error.message : `${error.message}: ${error.hint}`;
      context.addIssue({ code: "custom", message });
    }
  });

const filters = z.array(filter).max(64).default([]);

const moment = z.string().superRefine((text, context) => {
  // How long ago, which other surfaces take, would be over at once.
  if (!/^\d{4}-/.test(text.trim()))
    return context.addIssue({ code: "custom", message: "must be an ISO 8601 time: 2026-12-31T23:59:59Z" });
  try {
    parseMoment(text, 0);
  } catch (error) {
    context.addIssue({ code: "custom", message: messageOf(error) });
  }
});

const size = z.string().superRefine((text, context) => {
  if (/^\d/.test(text) && isSize(text) && parseSize(text) >= SMALLEST_FILE) return;
  context.addIssue({ code: "custom", message: 'must be a size of at least 64KiB, like "10MB"' });
});

export const exportSchema = z
  .strictObject({
    to: target.describe(
      "file:PATH (JSON lines), udp:HOST:PORT or tcp:HOST:PORT (IPFIX), http(s)://… (OTLP logs, the base URL of a collector)",
    ),
    format: z
      .enum(["ipfix", "ipfix-biflow"])
      .optional()
      .describe("of IPFIX: a record each way (default), or both ways in one, which RFC 5103 defines"),
    allow: filters.describe("flows and events to export, by the filters of x0 flows observe; all when empty"),
    deny: filters.describe("flows and events to leave out, likewise"),
    events: z
      .array(z.enum(["dns", "request", "drop", "scan"]))
      .default([])
      .describe("what else to export beside flows: dns, request, drop, scan; not with IPFIX"),
    fields: z
      .array(z.string())
      .max(256)
      .default([])
      .describe(
        "names to keep, all when empty: paths in Hubble's flow, attributes of OTLP, IANA's elements of IPFIX",
      ),
    until: moment.optional().describe("the export ends by itself at this time"),
    max_size: size.optional().describe("a file is rotated before it grows beyond; default 10MB"),
    max_files: z
      .number()
      .int()
      .min(0)
      .max(1000)
      .optional()
      .describe("rotated files to keep, FILE.1 is the newest; default 5"),
  })
  .superRefine((given, context) => {
    const parsed = parseTarget(given.to);
    if (typeof parsed === "string") return;
    const { kind } = parsed;
    const isIpfix = kind === "udp" || kind === "tcp";
    const refuse = (key: keyof typeof given, message: string): void =>
      context.addIssue({ code: "custom", path: [key], message });
    if (given.format !== undefined && !isIpfix) refuse("format", "is for udp: and tcp: only");
    if (given.events.length > 0 && isIpfix) refuse("events", "cannot be told by IPFIX, which has flows only");
    for (const key of ["max_size", "max_files"] as const)
      if (given[key] !== undefined && kind !== "file") refuse(key, "is for file: only");
    // Hubble's flows have no verdict on many flows together.
    if (given.events.includes("scan") && kind === "file")
      refuse("events", "scan cannot be told in Hubble's format; send it as OTLP logs");
    const unknown = given.fields.find((name) => !isField(kind, name));
    if (unknown !== undefined) refuse("fields", `"${unknown}" is not known; ${fieldHints[kind]}`);
  });

export type ExportConfig = z.infer<typeof exportSchema>;

export const exportsSchema = z
  .array(exportSchema)
  .max(16)
  .superRefine((list, context) => {
    // Two writers of one file would undo each other; two senders to one peer would double what it counts.
    for (const [index, { to }] of list.entries())
      if (list.findIndex((other) => other.to === to) < index)
        context.addIssue({ code: "custom", path: [index, "to"], message: `"${to}" is given twice` });
  });

const fieldHints = {
  file: "write paths in Hubble's flow, like source.identity or l4",
  udp: "write IANA's names, like octetDeltaCount",
  tcp: "write IANA's names, like octetDeltaCount",
  http: "write names of attributes, like destination.address",
} as const;

function isField(kind: keyof typeof fieldHints, name: string): boolean {
  if (kind === "http") return attributeNames().has(name);
  if (kind !== "file") return elementNames().has(name);
  try {
    hubbleFieldMask([name]);
    return true;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return false;
  }
}

function isSize(text: string): boolean {
  try {
    parseSize(text);
    return true;
  } catch {
    return false;
  }
}

/** Hosts that exports speak to, beside this one: what `x0 doctor` lists. */
export function egress(exports: readonly ExportConfig[]): string[] {
  return exports.flatMap(({ to }, index) => {
    const parsed = parseTarget(to);
    const host = typeof parsed === "string" ? undefined : hostOf(parsed);
    if (host === undefined || isLoopback(host)) return [];
    return [`flows to ${to} (flows.exports.${index})`];
  });
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
