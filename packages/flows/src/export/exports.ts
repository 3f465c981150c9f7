/** Opens the exports of a configuration, each a sink of the recording thread. */
import { type Clock, parseMoment, parseSize, type Random } from "@x0tta6bl4/core";
import {
  type Chunk,
  type Delivery,
  type Destination,
  openDelivery,
  otlpDestination,
} from "@x0tta6bl4/telemetry";
import { hubbleFieldMask, hubbleJsonLines, hubbleJsonOfEvent } from "../hubble/json.ts";
import type { Sink } from "../recording/sink.ts";
import { gatherChunks } from "./chunks.ts";
import type { ExportConfig } from "./config.ts";
import type { Encoder } from "./encoder.ts";
import { fileDestination } from "./file.ts";
import { interfaceIndexes } from "./ipfix/interfaces.ts";
import type { IpfixMessage } from "./ipfix/messages.ts";
import { ipfixRecords } from "./ipfix/records.ts";
import type { ExportCounters } from "./ipfix/session.ts";
import { TCP_MESSAGE_BYTES, tcpDestination } from "./ipfix/tcp.ts";
import { ipfixTemplates } from "./ipfix/templates.ts";
import { UDP_MESSAGE_BYTES, udpDestination } from "./ipfix/udp.ts";
import { logRecords } from "./otlp/log-record.ts";
import { compileSelection } from "./selection.ts";
import { exportSink } from "./sink.ts";
import { parseTarget, type Target } from "./target.ts";

const FILE_CHUNK_BYTES = 64 * 1024;
/** A request to a collector: about 300 records. Collectors take some megabytes at least. */
const REQUEST_BYTES = 512 * 1024;
/** Templates and statistics; the usual interval of collectors' and exporters' defaults, and of RFC 6728's example. */
const ANNOUNCE_EVERY_MS = 60_000;
const DEFAULT_FILE_SIZE = "10MB";
const DEFAULT_FILES = 5;

export interface ExportContext {
  readonly clock: Clock;
  /** For the pauses before another attempt. */
  readonly random: Random;
  readonly hostName: string;
  readonly version: string;
  /** Whether an address is this host's own; loopback ones when absent. */
  readonly isLocal?: (ip: string) => boolean;
}

interface Opened {
  readonly encoder: Encoder;
  readonly delivery: Pick<Delivery<Chunk>, "totals" | "close">;
}

/** A peer that is away, a folder that is missing: neither is an error here; the sink says so and tries again. */
export function openExports(configs: readonly ExportConfig[], context: ExportContext): Sink[] {
  return configs.map((config) => {
    const target = parseTarget(config.to);
    if (typeof target === "string") throw new TypeError(target);
    const selection = compileSelection(config.allow, config.deny);
    const untilMs = config.until === undefined ? undefined : parseMoment(config.until, 0);
    const name = config.to;
    return exportSink({ name, selection, events: config.events, untilMs, ...open(config, target, context) });
  });
}

function open(config: ExportConfig, target: Target, context: ExportContext): Opened {
  if (target.kind === "file") return openFile(config, target.path, context);
  if (target.kind === "http") return openOtlp(config, target.url, context);
  return openIpfix(config, target, context);
}

function openFile(config: ExportConfig, path: string, context: ExportContext): Opened {
  const { fields, max_size = DEFAULT_FILE_SIZE, max_files: maxFiles = DEFAULT_FILES } = config;
  const { random, hostName, version, isLocal } = context;
  const destination = fileDestination({ path, maxSizeBytes: parseSize(max_size), maxFiles });
  const delivery = openDelivery(destination, { random });
  const { put } = delivery;
  const lines = gatherChunks({ maxBytes: FILE_CHUNK_BYTES, before: "", between: "\n", after: "\n", put });
  const hubble = {
    nodeName: hostName,
    version,
    fieldMask: hubbleFieldMask(fields),
    ...(isLocal === undefined ? {} : { isLocal }),
  };
  return {
    delivery,
    encoder: {
      flow: (reader, index) => {
        for (const line of hubbleJsonLines(reader, index, hubble)) lines.add(line);
      },
      event: (event) => {
        for (const line of hubbleJsonOfEvent(event, hubble).split("\n")) if (line !== "") lines.add(line);
      },
      flush: lines.flush,
      finish: lines.flush,
    },
  };
}

function openOtlp(config: ExportConfig, url: URL, context: ExportContext): Opened {
  const { clock, random, hostName, version } = context;
  const userAgent = `x0tta6bl4/${version}`;
  const destination = otlpDestination({ url, userAgent, encoding: "json", nowMs: () => clock.nowMs() });
  const delivery = openDelivery(destination, { random });
  const logs = logRecords({ fields: config.fields, hostName, version });
  const { before, after } = logs;
  const chunks = gatherChunks({ maxBytes: REQUEST_BYTES, before, between: ",", after, put: delivery.put });
  return {
    delivery,
    encoder: {
      flow: (reader, index) =>
        chunks.add(logs.flow(reader.flow(index), reader.change(index), reader.batch.coverage.toMs)),
      event: (event) => chunks.add(logs.event(event, clock.nowMs())),
      flush: chunks.flush,
      finish: chunks.flush,
    },
  };
}

function openIpfix(
  config: ExportConfig,
  { kind, host, port }: Extract<Target, { readonly kind: "udp" | "tcp" }>,
  { clock, random }: ExportContext,
): Opened {
  const isBiflow = config.format === "ipfix-biflow";
  const templates = ipfixTemplates(config.fields, isBiflow);
  const maxBytes = kind === "udp" ? UDP_MESSAGE_BYTES : TCP_MESSAGE_BYTES;
  const ignored = { packets: 0, octets: 0 };
  const counters: ExportCounters = {
    messages: 0,
    records: 0,
    octets: 0,
    notSentRecords: () => [...delivery.totals().dropped.values()].reduce((sum, count) => sum + count, 0),
    ignored: () => ignored,
  };
  const { announcement } = templates;
  const transport = {
    host,
    port,
    nowMs: () => clock.nowMs(),
    announcement,
    announceEveryMs: ANNOUNCE_EVERY_MS,
    counters,
  };
  const destination: Destination<IpfixMessage> =
    kind === "udp" ? udpDestination(transport) : tcpDestination(transport);
  const delivery = openDelivery(destination, { random });
  const interfaceIndex = interfaceIndexes(() => clock.nowMs());
  const records = ipfixRecords({ templates, isBiflow, maxBytes, interfaceIndex, put: delivery.put });
  return {
    delivery,
    encoder: {
      flow: records.add,
      event: () => {},
      flush: ({ lostPackets, lostBytes, uncounted }) => {
        ignored.packets += lostPackets + uncounted;
        ignored.octets += lostBytes;
        records.flush();
      },
      finish: records.finish,
    },
  };
}
