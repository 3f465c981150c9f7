/** The URL, editable: Enter shows what it says, Esc takes the edit back. */
import { useEffect, useRef, useState } from "preact/hooks";
import { visible } from "./visible.ts";

interface Props {
  /** Path and query of the address bar. */
  readonly path: string;
  /** What has no meaning in it. */
  readonly problems: readonly string[];
  readonly label: string;
  /** @returns what has no meaning in a query string. */
  check(search: string): readonly string[];
  onSearch(search: string): void;
  /** What can be done beside it. */
  readonly children: preact.ComponentChildren;
}

export function UrlBar({ path, problems, label, check, onSearch, children }: Props) {
  const [text, setText] = useState(path);
  const [refused, setRefused] = useState<readonly string[]>([]);
  const shown = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    setText(path);
    setRefused([]);
  }, [path]);

  const apply = (): void => {
    const query = text.indexOf("?");
    const search = query < 0 ? "" : text.slice(query);
    const found = check(search);
    setRefused(found);
    if (found.length === 0) onSearch(search);
  };
  const wrong = refused.length > 0 ? refused : problems;
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
            aria-label={label}
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
        {children}
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
