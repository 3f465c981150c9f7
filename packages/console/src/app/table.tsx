/**
 * The flows as a grid of which only the visible lines exist. It tells the model to hold its order while a mouse
 * is on a line, while it is scrolled away from the first line, and while keys walk through it.
 */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { processes } from "./describe.ts";
import { absolute, bytes, clockMs, count, duration, exact } from "./format.ts";
import { Badge } from "./icons.tsx";
import type { FlowsModel } from "./model.ts";
import type { Sort, SortKey } from "./query.ts";
import type { Row } from "./rows.ts";
import type { Counters, Endpoint } from "./shapes.ts";
import { type Viewport, viewportOf } from "./viewport.ts";
import { windowOf } from "./virtual.ts";

interface Column {
  readonly key: SortKey | "state";
  readonly title: string;
  readonly class: string;
  readonly hint?: string;
}

const columns: readonly Column[] = [
  { key: "start", title: "time", class: "c-time x3", hint: "when it was opened" },
  { key: "source", title: "source", class: "c-source", hint: "the side that opened it" },
  { key: "destination", title: "destination", class: "c-destination" },
  { key: "protocol", title: "proto", class: "c-protocol x2" },
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
  { key: "duration", title: "lasted", class: "c-duration n x1", hint: "first to latest packet" },
  {
    key: "interface",
    title: "interface",
    class: "c-interface x1",
    hint: "where the first packet was counted",
  },
];

interface Props {
  readonly model: FlowsModel;
  readonly sort: Sort;
  /** Id of the line that the keys are on. */
  readonly cursor: string | undefined;
  readonly selected: string | undefined;
  /** The charts' cursor: lines that were under way then are marked. */
  readonly momentMs: number | undefined;
  onSort(key: SortKey): void;
  onSelect(row: Row): void;
}

export function FlowTable({ model, sort, cursor, selected, momentMs, onSort, onSelect }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLTableSectionElement>(null);
  const [view, setView] = useState<Viewport>({ offset: 0, height: 1000, rowHeight: 24 });
  const order = model.rows.order;

  useLayoutEffect(() => {
    const measure = (): void => {
      const next = viewportOf(body.current as HTMLElement);
      setView((old) => (same(old, next) ? old : next));
    };
    measure();
    addEventListener("scroll", measure, { capture: true, passive: true });
    addEventListener("resize", measure);
    const sized = new ResizeObserver(measure);
    sized.observe(scroller.current as HTMLElement);
    return () => {
      removeEventListener("scroll", measure, { capture: true });
      removeEventListener("resize", measure);
      sized.disconnect();
    };
  }, []);

  const { first, end } = windowOf(view.offset, view.height, view.rowHeight, order.length);
  useEffect(
    () => () => {
      model.hold("pointer", false);
      model.hold("scrolled", false);
    },
    [],
  );
  useEffect(() => model.hold("scrolled", view.offset >= view.rowHeight), [view.offset >= view.rowHeight]);
  useEffect(() => {
    if (model.more && end > order.length - 200) void model.loadMore();
  }, [end, order.length]);

  const hover = (held: boolean) => (event: PointerEvent) => {
    if (event.pointerType !== "touch") model.hold("pointer", held);
  };
  const visible = order.slice(first, end);
  const tabStop = visible.some((row) => row.id === cursor) ? cursor : visible[0]?.id;
  return (
    <div class="scroller" ref={scroller}>
      {/* biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: selectable lines make it a grid */}
      <table class="fl" role="grid" aria-rowcount={model.more ? -1 : order.length + 1}>
        <caption class="sr">Flows</caption>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((column) => (
              <Head key={column.key} column={column} sort={sort} onSort={onSort} />
            ))}
          </tr>
        </thead>
        <tbody ref={body} onPointerEnter={hover(true)} onPointerLeave={hover(false)}>
          <Space key="before" height={first * view.rowHeight} />
          {visible.map((row, index) => (
            <Line
              key={row.id}
              row={row}
              index={first + index + 2}
              tabStop={row.id === tabStop}
              selected={row.id === selected}
              then={momentMs !== undefined && row.startMs <= momentMs && momentMs <= row.endMs}
              onSelect={onSelect}
            />
          ))}
          <Space key="after" height={(order.length - end) * view.rowHeight} />
        </tbody>
      </table>
    </div>
  );
}

/** The lines above or below the screen, as emptiness of their height. */
function Space({ height }: { height: number }) {
  // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a line without cells takes no focus
  return <tr class="space" aria-hidden="true" style={{ height: `${height}px` }} />;
}

interface HeadProps {
  readonly column: Column;
  readonly sort: Sort;
  onSort(key: SortKey): void;
}

function Head({ column: { key, title, class: name, hint }, sort, onSort }: HeadProps) {
  if (key === "state") return <th class={name}>{title}</th>;
  const sorted = sort.key === key;
  return (
    <th class={name} aria-sort={sorted ? (sort.descending ? "descending" : "ascending") : undefined}>
      <button type="button" class="sort" title={hint} onClick={() => onSort(key)}>
        {title}
        {sorted ? (sort.descending ? " ↓" : " ↑") : ""}
      </button>
    </th>
  );
}

interface LineProps {
  readonly row: Row;
  readonly index: number;
  readonly tabStop: boolean;
  readonly selected: boolean;
  readonly then: boolean;
  onSelect(row: Row): void;
}

function Line({ row, index, tabStop, selected, then, onSelect }: LineProps) {
  const { flow } = row;
  const names = processes(flow);
  const packets = flow.packets.sent + flow.packets.received;
  return (
    <tr
      data-id={row.id}
      class={then ? "then" : undefined}
      tabIndex={tabStop ? 0 : -1}
      aria-rowindex={index}
      aria-selected={selected}
      onClick={() => onSelect(row)}
    >
      <td class="c-time m x3" title={absolute(row.startMs)}>
        {clockMs(row.startMs)}
      </td>
      <Address class="c-source" end={flow.source} />
      <Address class="c-destination" end={flow.destination} />
      <td class="c-protocol dim x2">{flow.protocol}</td>
      <td
        class="c-process"
        title={flow.process?.executable ?? (names === "" ? "no process known" : undefined)}
      >
        {names === "" ? <span class="dim">–</span> : names}
        {flow.process !== null && flow.peerProcess === null && <span class="h"> {flow.process.pid}</span>}
      </td>
      <td class="c-state x2">
        {flow.state === "active" ? <Badge mark="ok">active</Badge> : <span class="dim">ended</span>}
      </td>
      <Size class="c-sent" counters={flow.bytes} side="sent" />
      <Size class="c-received" counters={flow.bytes} side="received" />
      <td
        class="c-packets n x2"
        title={`${exact(flow.packets.sent)} sent, ${exact(flow.packets.received)} received`}
      >
        {count(packets)}
      </td>
      <td class="c-duration n x1 mid" title={`latest packet ${absolute(row.endMs)}`}>
        {duration(row.endMs - row.startMs)}
      </td>
      <td class="c-interface x1 dim" title={flow.place}>
        {flow.interface}
        {flow.place === "forwarded" && " fwd"}
      </td>
    </tr>
  );
}

function Address({ class: name, end }: { class: string; end: Endpoint }) {
  const bracketed = end.port !== 0 && end.ip.includes(":");
  return (
    <td class={`${name} m`} title={bracketed ? `[${end.ip}]:${end.port}` : `${end.ip}:${end.port}`}>
      <span class="p">{bracketed ? `[${end.ip}]` : end.ip}</span>
      {end.port !== 0 && <span class="h">:{end.port}</span>}
    </td>
  );
}

function Size({ class: name, counters, side }: { class: string; counters: Counters; side: keyof Counters }) {
  const value = counters[side];
  return (
    <td class={`${name} n${value === 0 ? " dim" : ""}`} title={`${exact(value, "B")} ${side}`}>
      {bytes(value)}
    </td>
  );
}

function same(a: Viewport, b: Viewport): boolean {
  return a.offset === b.offset && a.height === b.height && a.rowHeight === b.rowHeight;
}
