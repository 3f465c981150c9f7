/**
 * Flows as a table of text. On a terminal every line fits: the two endpoints share what the other columns leave, and
 * the least important columns go first. Elsewhere nothing is cut, and columns widen as rows need it.
 */
import { styleText } from "node:util";
import { formatBytes, formatCount, printable } from "@x0tta6bl4/core";
import type { Flow, FlowChange, FlowProcess } from "../flow.ts";
import { isEcho, protocolNumber } from "../protocols.ts";

export interface TableOptions {
  /** Columns of the terminal; undefined where the output is none. */
  readonly terminalColumns: number | undefined;
  readonly color: boolean;
  /** Rows come one by one, so that widths cannot be taken from the first ones. */
  readonly streaming: boolean;
  readonly nowMs: number;
  /** Addresses also where a name is known. */
  readonly numeric?: boolean;
}

export interface Table {
  /** The lines of these rows, with the header before the first. */
  render(changes: readonly FlowChange[]): string;
}

interface Column {
  readonly title: string;
  readonly least: number;
  readonly right?: boolean;
  /** Takes what room is left, and gives way first. */
  readonly flexible?: boolean;
  text(change: FlowChange): string;
  /** The sign that a cell means trouble. */
  alarming?(flow: Flow): boolean;
}

const gap = "  ";
const flexibleFloor = 21;
const flexibleLeast = 8;
const roomyEndpoint = 44;

export function createTable(options: TableOptions): Table {
  let columns: readonly Column[] | undefined;
  let widths: number[] = [];

  return {
    render(changes) {
      if (changes.length === 0 && !options.streaming) return "";
      const lines: string[] = [];
      const all = columns ?? columnsOf(options);
      const cells = changes.map(
        (change) => new Map(all.map((column) => [column, printable(column.text(change))])),
      );
      const widest = (column: Column, least: number): number =>
        cells.reduce((width, row) => Math.max(width, lengthOf(row.get(column) ?? "")), least);
      if (columns === undefined) {
        const wanted = new Map(
          all.map((column) => [column, widest(column, Math.max(column.least, column.title.length))]),
        );
        columns = layOut(all, wanted, options);
        widths = columns.map((column) => wanted.get(column) ?? 0);
        lines.push(
          paint(
            "dim",
            line(columns, widths, (column) => column.title),
            options.color,
          ),
        );
      } else if (options.terminalColumns === undefined)
        widths = columns.map((column, index) => widest(column, widths[index] ?? 0));
      for (const [index, row] of cells.entries()) {
        const flow = changes[index]?.flow;
        const alarming = (column: Column) => flow !== undefined && column.alarming?.(flow) === true;
        lines.push(
          line(
            columns,
            widths,
            (column) => row.get(column) ?? "",
            (column, text) => (alarming(column) ? paint("red", text, options.color) : text),
          ),
        );
      }
      return lines.map((text) => `${text}\n`).join("");
    },
  };
}

function columnsOf({ nowMs, streaming, numeric = false }: TableOptions): readonly Column[] {
  // What streams is of now, on whatever day that will be.
  const today = streaming ? undefined : new Date(nowMs).toDateString();
  return [
    { title: "TIME", least: 12, text: ({ flow }) => localTime(flow.start, today) },
    { title: "STATE", least: 6, text: ({ change, flow }) => (change === "update" ? flow.state : change) },
    {
      title: "SOURCE",
      least: flexibleFloor,
      flexible: true,
      text: ({ flow }) => endpoint(flow, "source", numeric),
    },
    {
      title: "  DESTINATION",
      least: flexibleFloor,
      flexible: true,
      text: ({ flow }) => `→ ${endpoint(flow, "destination", numeric)}`,
    },
    { title: "PROTO", least: 6, text: ({ flow }) => flow.protocol },
    { title: "PLACE", least: 9, text: ({ flow }) => flow.place },
    {
      title: "VERDICT",
      least: 9,
      text: ({ flow }) => flow.verdict,
      alarming: (flow) => flow.verdict !== "forwarded",
    },
    { title: "SENT", least: 8, right: true, text: ({ flow }) => formatBytes(flow.bytes.sent) },
    { title: "RECEIVED", least: 8, right: true, text: ({ flow }) => formatBytes(flow.bytes.received) },
    {
      title: "PACKETS",
      least: 13,
      right: true,
      text: ({ flow }) => `${formatCount(flow.packets.sent)}/${formatCount(flow.packets.received)}`,
    },
    {
      title: "FLAGS",
      least: 5,
      text: ({ flow }) => flags(flow),
      alarming: (flow) => flow.tcpFlags.includes("RST"),
    },
    {
      title: "INSIGHT",
      least: 7,
      text: ({ flow }) => insight(flow),
      alarming: ({ drops, requests }) => drops !== null || (requests?.errors ?? 0) > 0,
    },
  ];
}

/** What goes first when a terminal is narrow; a stream of starts and ends keeps saying which is which. */
function expendable(streaming: boolean): readonly string[] {
  const last = ["FLAGS", "RECEIVED", "SENT"];
  return [
    "VERDICT",
    "PLACE",
    "PACKETS",
    "INSIGHT",
    ...(streaming ? [...last, "STATE"] : ["STATE", ...last]),
    "PROTO",
    "TIME",
  ];
}

/** Chooses the columns that fit and sets `widths` of the flexible ones. */
function layOut(
  all: readonly Column[],
  widths: Map<Column, number>,
  options: TableOptions,
): readonly Column[] {
  const limit = options.terminalColumns;
  const widthOf = (column: Column): number => widths.get(column) ?? 0;
  const total = (columns: readonly Column[], width: (column: Column) => number): number =>
    columns.reduce((sum, column) => sum + width(column), gap.length * (columns.length - 1));
  let columns = all;
  if (limit === undefined) return columns;
  const floor = (column: Column) =>
    column.flexible ? Math.min(widthOf(column), flexibleFloor) : widthOf(column);
  for (const title of expendable(options.streaming)) {
    if (total(columns, floor) <= limit) break;
    columns = columns.filter((column) => column.title !== title);
  }
  const flexible = columns.filter((column) => column.flexible === true);
  if (options.streaming)
    for (const column of flexible) widths.set(column, Math.max(widthOf(column), roomyEndpoint));
  let excess = total(columns, widthOf) - limit;
  while (excess > 0) {
    const widest = flexible.reduce((a, b) => (widthOf(b) > widthOf(a) ? b : a));
    if (widthOf(widest) <= flexibleLeast) break;
    widths.set(widest, widthOf(widest) - 1);
    excess--;
  }
  return columns;
}

function line(
  columns: readonly Column[],
  widths: readonly number[],
  text: (column: Column) => string,
  decorate: (column: Column, padded: string) => string = (_, padded) => padded,
): string {
  return columns
    .map((column, index) => {
      const width = widths[index] ?? 0;
      const cut = shorten(text(column), width);
      const blanks = " ".repeat(width - lengthOf(cut));
      return column.right === true
        ? `${blanks}${decorate(column, cut)}`
        : `${decorate(column, cut)}${blanks}`;
    })
    .join(gap)
    .trimEnd();
}

/** Cuts the process first; of an endpoint alone the middle, because its port tells more. */
function shorten(text: string, width: number): string {
  const characters = [...text];
  if (characters.length <= width) return text;
  const address = text.indexOf(" ", 2);
  if (address >= 0 && address < width) return `${characters.slice(0, width - 1).join("")}…`;
  const whole = address < 0 ? characters : characters.slice(0, address);
  const tail = Math.floor((width - 1) / 2);
  return whole.length <= width
    ? whole.join("")
    : `${whole.slice(0, width - 1 - tail).join("")}…${whole.slice(whole.length - tail).join("")}`;
}

function endpoint(flow: Flow, side: "source" | "destination", numeric: boolean): string {
  const { ip, port, name } = flow[side];
  const host = numeric || name === null ? (ip.includes(":") ? `[${ip}]` : ip) : name;
  const shown = hasNoPorts(flow) ? (numeric ? ip : (name ?? ip)) : `${host}:${port}`;
  const process = processOf(flow, side);
  return process === null ? shown : `${shown} ${process.comm}(${process.pid})`;
}

/** What is known beside the packets, the worst first. */
function insight({ application, drops, requests, tcp, tls, translated }: Flow): string {
  const parts: string[] = [];
  if (drops !== null) parts.push(`${formatCount(drops.packets)} dropped ${drops.reason}`);
  if (requests !== null) {
    const { count, errors, latencyMs } = requests;
    const failed = errors === 0 ? "" : `, ${formatCount(errors)} failed`;
    const what = count === 1 ? "request" : "requests";
    parts.push(`${formatCount(count)} ${application ?? ""} ${what}${failed}, ${milliseconds(latencyMs)}`);
  } else if (tls !== null) parts.push(`TLS ${tls.version ?? "?"} ${tls.serverName ?? ""}`.trimEnd());
  else if (application !== null) parts.push(application);
  if (tcp !== null && tcp.retransmits > 0) parts.push(`${formatCount(tcp.retransmits)} sent again`);
  if (tcp?.rttMs != null) parts.push(`rtt ${milliseconds(tcp.rttMs)}`);
  if (translated !== null) {
    const { source, destination } = translated;
    parts.push(`as ${source.ip}:${source.port} → ${destination.ip}:${destination.port}`);
  }
  return parts.join(", ");
}

function milliseconds(value: number | null): string {
  return value === null ? "?" : `${Number(value.toPrecision(3))} ms`;
}

function hasNoPorts({ icmp, source, destination }: Flow): boolean {
  return icmp !== null || (source.port === 0 && destination.port === 0);
}

/** `process` is of the source where that is local, else of the local destination. */
function processOf(flow: Flow, side: "source" | "destination"): FlowProcess | null {
  const ofSource = flow.peerProcess !== null || flow.place === "loopback" || flow.direction === "egress";
  if (side === "source") return ofSource ? flow.process : null;
  return ofSource ? flow.peerProcess : flow.process;
}

function flags({ icmp, protocol, tcpFlags }: Flow): string {
  if (icmp === null) return tcpFlags.map((flag) => flag[0]).join("");
  return isEcho(protocolNumber(protocol) ?? 0, icmp.type) ? "echo" : `${icmp.type}/${icmp.code}`;
}

function localTime(iso: string, today: string | undefined): string {
  const at = new Date(iso);
  const pad = (value: number, size = 2): string => String(value).padStart(size, "0");
  const time = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
  if (today === undefined || at.toDateString() === today) return time;
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${time}`;
}

function lengthOf(text: string): number {
  return [...text].length;
}

function paint(format: "dim" | "red", text: string, color: boolean): string {
  return color && text !== "" ? styleText(format, text, { validateStream: false }) : text;
}
