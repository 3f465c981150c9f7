import { Copy } from "./copy.tsx";
import { command, filterKeys, parseView, type View } from "./query.ts";
import { UrlBar } from "./url-bar.tsx";

interface Props {
  /** Path and query of the address bar. */
  readonly path: string;
  readonly view: View;
  readonly problems: readonly string[];
  onView(view: View): void;
  onColumns(): void;
}

/** The URL of a view of flows, and what goes with it. */
export function FilterBar({ path, view, problems, onView, onColumns }: Props) {
  const filtered = filterKeys.some((key) => view.filter[key] !== undefined);
  return (
    <UrlBar
      path={path}
      problems={problems}
      label="Filter, as it stands in the address bar"
      check={(search) => parseView(search).problems}
      onSearch={(search) => onView(parseView(search).view)}
    >
      <button type="button" disabled={!filtered} onClick={() => onView({ ...view, filter: {} })}>
        clear
      </button>
      <button type="button" class="x3" title="Which columns the table has" onClick={onColumns}>
        columns
      </button>
      <Copy class="x3" text={command(view.filter, "--follow")} title={command(view.filter, "--follow")}>
        copy command
      </Copy>
    </UrlBar>
  );
}
