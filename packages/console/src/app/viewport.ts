/** Where the screen cuts the table's body, whichever of its ancestors scrolls. */
export interface Viewport {
  /** Pixels of the body above the first visible one; negative while the body begins below the upper edge. */
  readonly offset: number;
  readonly height: number;
  readonly rowHeight: number;
}

/** The ancestor that scrolls: the table's own frame, on small screens the whole page. */
export function scrollerOf(body: Element): Element {
  const own = body.closest(".scroller");
  const page = body.closest("main");
  return (
    (own !== null && getComputedStyle(own).overflowY === "auto" ? own : page) ?? document.documentElement
  );
}

export function viewportOf(body: Element): Viewport {
  const frame = scrollerOf(body).getBoundingClientRect();
  const head = body.previousElementSibling?.getBoundingClientRect().height ?? 0;
  return {
    offset: Math.round(frame.top + head - body.getBoundingClientRect().top),
    height: Math.max(0, Math.round(frame.bottom - frame.top - head)),
    rowHeight: Number.parseInt(getComputedStyle(body).getPropertyValue("--row"), 10),
  };
}
