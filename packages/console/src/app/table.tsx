/**
 * The flows as a grid of which only the visible lines exist. It tells the model to hold its order while a mouse
 * is on a line, while it is scrolled away from the first line, and while keys walk through it.
 */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { CellOf, type Column } from "./columns.tsx";
import type { FlowsModel } from "./model.ts";
import type { Sort, SortKey } from "./query.ts";
import type { Row } from "./rows.ts";
import { type Viewport, viewportOf } from "./viewport.ts";
import { windowOf } from "./virtual.ts";

interface Props {
  readonly model: FlowsModel;
  readonly columns: readonly Column[];
  readonly sort: Sort;
  /** Id of the line that the keys are on. */
  readonly cursor: string | undefined;
  readonly selected: string | undefined;
  /** The charts' cursor: lines that were under way then are marked. */
  readonly momentMs: number | undefined;
  onSort(key: SortKey): void;
  onSelect(row: Row): void;
}

export function FlowTable({ model, columns, sort, cursor, selected, momentMs, onSort, onSelect }: Props) {
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
              columns={columns}
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
  readonly columns: readonly Column[];
  readonly index: number;
  readonly tabStop: boolean;
  readonly selected: boolean;
  readonly then: boolean;
  onSelect(row: Row): void;
}

function Line({ row, columns, index, tabStop, selected, then, onSelect }: LineProps) {
  return (
    <tr
      data-id={row.id}
      class={then ? "then" : undefined}
      tabIndex={tabStop ? 0 : -1}
      aria-rowindex={index}
      aria-selected={selected}
      onClick={() => onSelect(row)}
    >
      {columns.map((column) => (
        <CellOf key={column.key} column={column} row={row} />
      ))}
    </tr>
  );
}

function same(a: Viewport, b: Viewport): boolean {
  return a.offset === b.offset && a.height === b.height && a.rowHeight === b.rowHeight;
}
