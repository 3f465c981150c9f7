import { useCallback, useEffect, useState } from "preact/hooks";
import { formatView, type Parsed, parseView, type View } from "./query.ts";

export interface Place extends Parsed {
  /** What the address bar says after the origin. */
  readonly path: string;
  /** Shows another view under its own URL; `replace` leaves no step for the back button. */
  go(view: View, how?: "push" | "replace"): void;
}

/** The view that the address bar names; going back and forward changes it, and so does `go`. */
export function useLocation(): Place {
  const [search, setSearch] = useState(location.search);
  useEffect(() => {
    const moved = (): void => setSearch(location.search);
    addEventListener("popstate", moved);
    return () => removeEventListener("popstate", moved);
  }, []);
  const go = useCallback((view: View, how: "push" | "replace" = "push"): void => {
    const wanted = formatView(view);
    if (wanted === location.search) return;
    const url = `${location.pathname}${wanted}`;
    if (how === "push") history.pushState(null, "", url);
    else history.replaceState(null, "", url);
    setSearch(wanted);
  }, []);
  return { ...parseView(search), path: `${location.pathname}${search}`, go };
}
