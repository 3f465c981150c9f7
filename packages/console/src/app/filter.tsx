import { useEffect, useRef, useState } from "preact/hooks";
import { Copy } from "./copy.tsx";
import { command, filterKeys, parseView, type View } from "./query.ts";
import { visible } from "./visible.ts";

interface Props {
  /** Path and query of the address bar. */
  readonly path: string;
  readonly view: View;
  readonly problems: readonly string[];
  onView(view: View): void;
  onColumns(): void;
}

/** The URL, editable: Enter shows what it says, Esc takes the edit back. */
export function FilterBar({ path, view, problems, onView, onColumns }: Props) {
  const [text, setText] = useState(path);
  const [refused, setRefused] = useState<readonly string[]>([]);
  const shown = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    setText(path);
    setRefused([]);
  }, [path]);

  const apply = (): void => {
    const query = text.indexOf("?");
    const parsed = parseView(query < 0 ? "" : text.slice(query));
    setRefused(parsed.problems);
    if (parsed.problems.length === 0) onView(parsed.view);
  };
  const wrong = refused.length > 0 ? refused : problems;
  const filtered = filterKeys.some((key) => view.filter[key] !== undefined);
  return (
    <>
      <form
        class="filter"
        onSubmit={(event) => {
          event.preventDefault();
          apply();
        }}
      >
        <span class="url">
          <span class="shown" ref={shown} aria-hidden="true">
            {coloured(text)}
          </span>
          <input
            id="filter"
            value={text}
            aria-label="Filter, as it stands in the address bar"
            aria-invalid={wrong.length > 0}
            autocomplete="off"
            spellcheck={false}
            onInput={(event) => setText(event.currentTarget.value)}
            onScroll={(event) => {
              if (shown.current !== null) shown.current.scrollLeft = event.currentTarget.scrollLeft;
            }}
            onKeyDown={(event) => {
              if (event.key !== "Escape") return;
              setText(path);
              setRefused([]);
              event.currentTarget.blur();
            }}
          />
        </span>
        <button type="button" disabled={!filtered} onClick={() => onView({ ...view, filter: {} })}>
          clear
        </button>
        <button type="button" class="x3" title="Which columns the table has" onClick={onColumns}>
          columns
        </button>
        <Copy class="x3" text={command(view.filter, "--follow")} title={command(view.filter, "--follow")}>
          copy command
        </Copy>
      </form>
      {wrong.length > 0 && (
        <p class="wrong note" role="alert">
          {visible(wrong.join("; "))}
        </p>
      )}
    </>
  );
}

/** Keys and signs plain, values in the colour of what is selected. */
function coloured(text: string) {
  const [path, ...rest] = text.split("?");
  if (rest.length === 0) return path;
  return (
    <>
      {path}
      <u>?</u>
      {rest
        .join("?")
        .split("&")
        .map((pair, index) => {
          const [key, ...value] = pair.split("=");
          return (
            <>
              {index > 0 && <u>&amp;</u>}
              {key}
              {value.length > 0 && <u>=</u>}
              <s>{value.join("=")}</s>
            </>
          );
        })}
    </>
  );
}
