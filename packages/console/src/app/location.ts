import { useCallback, useEffect, useState } from "preact/hooks";
import { formatView, type Parsed, parseView, type View } from "./query.ts";

/** `replace` leaves no step for the back button. */
export type How = "push" | "replace";

export interface Place extends Parsed {
  /** What the address bar says after the origin. */
  readonly path: string;
  /** Shows another view under its own URL. */
  go(view: View, how?: How): void;
}

/** The view of flows that the address bar names; going back and forward changes it, and so does `go`. */
export function useLocation(): Place {
  const { search, path, show } = useSearch();
  const go = useCallback((view: View, how?: How): void => show(formatView(view), how), []);
  return { ...parseView(search), path, go };
}

/** The query string of the address bar, which is all that a page keeps of what it shows. */
export function useSearch(): {
  readonly search: string;
  readonly path: string;
  show(search: string, how?: How): void;
} {
  const [search, setSearch] = useState(location.search);
  useEffect(() => {
    const moved = (): void => setSearch(location.search);
    addEventListener("popstate", moved);
    return () => removeEventListener("popstate", moved);
  }, []);
  const show = useCallback((wanted: string, how: How = "push"): void => {
    if (wanted === location.search) return;
    const url = `${location.pathname}${wanted}`;
    if (how === "push") history.pushState(null, "", url);
    else history.replaceState(null, "", url);
    setSearch(wanted);
  }, []);
  return { search, path: `${location.pathname}${search}`, show };
}
