/** Walking through the table with keys: a line of one's own, then the panel that follows it. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Keys } from "./keys.ts";
import type { FlowsModel } from "./model.ts";
import type { View } from "./query.ts";
import type { Row } from "./rows.ts";
import { scrollerOf, viewportOf } from "./viewport.ts";
import { scrollInto } from "./virtual.ts";

export interface Walk {
  /** Id of the line that the keys are on. */
  readonly cursor: string | undefined;
  readonly keys: Keys;
  open(row: Row): void;
  close(): void;
  /** Lets the table's order follow the node again, from the first line. */
  release(): void;
}

export function useWalk(
  model: FlowsModel,
  view: View,
  go: (view: View, how?: "push" | "replace") => void,
): Walk {
  const [line, setLine] = useState<string>();
  const cursor = view.flow ?? line;
  const wanted = useRef<string>(undefined);
  // The line's element may only exist after it was scrolled to, some renderings later.
  useEffect(() => {
    const found = wanted.current === undefined ? null : element(wanted.current);
    if (found === null) return;
    wanted.current = undefined;
    found.focus({ preventScroll: true });
  });

  const open = (row: Row): void => {
    setLine(row.id);
    go({ ...view, flow: row.id }, view.flow === undefined ? "push" : "replace");
  };
  const close = (): void => {
    const { flow: _, ...rest } = view;
    go(rest);
  };
  const leave = (): void => {
    setLine(undefined);
    model.hold("keys", false);
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
  };
  const step = (to: (at: number, last: number, page: number) => number) => (): void => {
    const order = model.rows.order;
    if (order.length === 0) return;
    model.hold("keys", true);
    const at = order.findIndex((row) => row.id === cursor);
    const target = Math.min(Math.max(to(at, order.length - 1, linesOnScreen()), 0), order.length - 1);
    const row = order[target] as Row;
    reveal(target);
    setLine(row.id);
    wanted.current = row.id;
    if (view.flow !== undefined) go({ ...view, flow: row.id }, "replace");
  };
  return {
    cursor,
    open,
    close,
    release: () => {
      leave();
      const found = body();
      if (found !== null) scrollerOf(found).scrollTo({ top: 0 });
      model.hold("scrolled", false);
      model.hold("pointer", false);
    },
    keys: {
      ArrowDown: step((at) => at + 1),
      ArrowUp: step((at) => (at < 0 ? 0 : at - 1)),
      PageDown: step((at, _, page) => at + page),
      PageUp: step((at, _, page) => at - page),
      Home: step(() => 0),
      End: step((_, last) => last),
      Enter: () => {
        const row = cursor === undefined ? undefined : model.rows.get(cursor);
        if (row !== undefined) open(row);
      },
      Escape: () => (view.flow === undefined ? leave() : close()),
    },
  };
}

function element(id: string): HTMLElement | null {
  return document.querySelector(`tr[data-id="${CSS.escape(id)}"]`);
}

function body(): Element | null {
  return document.querySelector(".fl tbody");
}

function linesOnScreen(): number {
  const found = body();
  if (found === null) return 1;
  const { height, rowHeight } = viewportOf(found);
  return Math.max(1, Math.floor(height / rowHeight) - 1);
}

function reveal(line: number): void {
  const found = body();
  if (found === null) return;
  const { offset, height, rowHeight } = viewportOf(found);
  scrollerOf(found).scrollBy({ top: scrollInto(line, offset, height, rowHeight) });
}
