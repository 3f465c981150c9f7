/** What a line of the table can show: heads, cells, and the width from which a column is there. */
import { decidedBy, processes } from "./describe.ts";
import { FlowVerdict } from "./flow/verdict.tsx";
import { absolute, bytes, clockMs, count, duration, exact, latency, socketAddress } from "./format.ts";
import { Badge } from "./icons.tsx";
import type { ColumnKey, View } from "./query.ts";
import type { Row } from "./rows.ts";
import { category, processAt, service } from "./services.ts";
import type { Counters, Endpoint, Flow } from "./shapes.ts";
import { visible } from "./visible.ts";

export interface Column {
  readonly key: ColumnKey;
  readonly title: string;
  /** `c-…` names it, `n` aligns a number, `x…` drops it as the screen narrows. */
  readonly class: string;
  readonly hint?: string;
}

export const columns: readonly Column[] = [
  { key: "start", title: "time", class: "c-time x3", hint: "when it was opened" },
  { key: "source", title: "source", class: "c-source", hint: "the side that opened it" },
  { key: "destination", title: "destination", class: "c-destination" },
  { key: "protocol", title: "proto", class: "c-protocol x2" },
  { key: "application", title: "app", class: "c-application x1", hint: "recognised from its first bytes" },
  {
    key: "process",
    title: "process",
    class: "c-process",
    hint: "at this host's end; → where both ends are here",
  },
  { key: "state", title: "state", class: "c-state x2" },
  { key: "sent", title: "sent", class: "c-sent n", hint: "source to destination, layer 3" },
  { key: "received", title: "received", class: "c-received n", hint: "destination to source, layer 3" },
  { key: "packets", title: "packets", class: "c-packets n x2" },
  { key: "rtt", title: "RTT", class: "c-rtt n x2", hint: "smoothed round-trip time of the kernel's TCP" },
  { key: "retransmits", title: "resent", class: "c-resent n x1", hint: "segments that this host sent again" },
  { key: "drops", title: "drops", class: "c-drops n x1", hint: "packets that the kernel dropped" },
  { key: "duration", title: "lasted", class: "c-duration n x0", hint: "first to latest packet" },
  {
    key: "interface",
    title: "interface",
    class: "c-interface x0",
    hint: "where the first packet was counted",
  },
];

/** Columns that were chosen stay at every width where a line is a line; the others give way. */
export function columnsOf({ columns: chosen }: View): readonly Column[] {
  if (chosen === undefined) return columns;
  return columns
    .filter(({ key }) => chosen.includes(key))
    .map((column) => ({ ...column, class: column.class.replace(/ x\d/, " x3") }));
}

type Cell = (props: { readonly row: Row; readonly class: string }) => preact.JSX.Element;

const cells: Readonly<Record<ColumnKey, Cell>> = {
  start: ({ row, class: name }) => (
    <td class={`${name} m`} title={absolute(row.startMs)}>
      {clockMs(row.startMs)}
    </td>
  ),
  source: ({ row, class: name }) => <End class={name} end={row.flow.source} />,
  destination: ({ row, class: name }) => <End class={name} end={row.flow.destination} />,
  protocol: ({ row, class: name }) => <td class={`${name} dim`}>{row.flow.protocol}</td>,
  application: ({ row: { flow }, class: name }) => (
    <td class={`${name} dim`} title={flow.tls?.serverName == null ? undefined : visible(flow.tls.serverName)}>
      {flow.application}
    </td>
  ),
  process: ProcessCell,
  state: ({ row: { flow }, class: name }) => (
    <td class={name} title={flow.rule === null ? undefined : decidedBy(flow.rule)}>
      {flow.verdict !== "forwarded" ? (
        <FlowVerdict flow={flow} />
      ) : flow.state === "active" ? (
        <Badge mark="ok">active</Badge>
      ) : (
        <span class="dim">ended</span>
      )}
    </td>
  ),
  sent: ({ row, class: name }) => <Size class={name} counters={row.flow.bytes} side="sent" />,
  received: ({ row, class: name }) => <Size class={name} counters={row.flow.bytes} side="received" />,
  packets: ({ row: { flow }, class: name }) => (
    <td class={name} title={`${exact(flow.packets.sent)} sent, ${exact(flow.packets.received)} received`}>
      {count(flow.packets.sent + flow.packets.received)}
    </td>
  ),
  rtt: ({ row: { flow }, class: name }) => <Rtt class={name} tcp={flow.tcp} />,
  retransmits: ({ row: { flow }, class: name }) => (
    <td class={flow.tcp?.retransmits ? `${name} bold` : `${name} dim`}>
      {flow.tcp === null ? "–" : count(flow.tcp.retransmits)}
    </td>
  ),
  drops: ({ row: { flow }, class: name }) =>
    flow.drops === null ? (
      <td class={`${name} dim`}>0</td>
    ) : (
      <td
        class={name}
        title={`${exact(flow.drops.packets, "packets")}, latest ${visible(flow.drops.reason)}`}
      >
        <Badge mark="dropped">{count(flow.drops.packets)}</Badge>
      </td>
    ),
  duration: ({ row, class: name }) => (
    <td class={`${name} mid`} title={`latest packet ${absolute(row.endMs)}`}>
      {duration(row.endMs - row.startMs)}
    </td>
  ),
  interface: ({ row: { flow }, class: name }) => (
    <td class={`${name} dim`} title={flow.place}>
      {visible(flow.interface)}
      {flow.place === "forwarded" && " fwd"}
    </td>
  ),
};

export function CellOf({ column, row }: { column: Column; row: Row }) {
  const Content = cells[column.key];
  return <Content row={row} class={column.class} />;
}

/** The learned name with the address for hovering, else the address alone. */
function End({ class: name, end }: { class: string; end: Endpoint }) {
  const bracketed = end.name === null && end.port !== 0 && end.ip.includes(":");
  const shown = end.name === null ? (bracketed ? `[${end.ip}]` : end.ip) : visible(end.name);
  const address = socketAddress(end);
  return (
    <td
      class={end.name === null ? `${name} m` : name}
      title={end.name === null ? address : `${address}, ${shown}`}
    >
      <span class="p">{shown}</span>
      {end.port !== 0 && <span class="h">:{end.port}</span>}
    </td>
  );
}

function ProcessCell({ row: { flow }, class: name }: { row: Row; class: string }) {
  const process = processAt(flow, "source") ?? processAt(flow, "destination");
  if (process === null)
    return (
      <td class={name} title="no process known">
        <span class="dim">–</span>
      </td>
    );
  const { key, label } = service(process);
  return (
    <td class={name} title={`${visible(label)}: ${visible(process.executable ?? process.comm)}`}>
      <i class={`sw s${category(key)}`} />
      {processes(flow)}
      {flow.peerProcess === null && <span class="h"> {process.pid}</span>}
    </td>
  );
}

function Rtt({ class: name, tcp }: { class: string; tcp: Flow["tcp"] }) {
  if (tcp === null || tcp.rttMs === null) return <td class={`${name} dim`}>–</td>;
  const least = tcp.minRttMs === null ? "" : `, least ${latency(tcp.minRttMs)}`;
  return (
    <td class={name} title={`${exact(tcp.rttMs, "ms")} smoothed${least}`}>
      {latency(tcp.rttMs)}
    </td>
  );
}

function Size({ class: name, counters, side }: { class: string; counters: Counters; side: keyof Counters }) {
  const value = counters[side];
  return (
    <td class={`${name}${value === 0 ? " dim" : ""}`} title={`${exact(value, "B")} ${side}`}>
      {bytes(value)}
    </td>
  );
}
