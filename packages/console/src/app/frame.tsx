/** What stands around every page: the rail, and the bar with node, search, live and theme. */
import { useRef, useState } from "preact/hooks";
import { absolute } from "./format.ts";
import type { Filter } from "./query.ts";
import { interpret } from "./search.ts";
import type { Health } from "./shapes.ts";

const pages = [
  { path: "/flows", title: "Flows", letter: "f" },
  { path: "/policy", title: "Policy", letter: "p" },
] as const;

/** What `g` and a letter do on every page; the page itself goes to its own plain view. */
export const pageKeys: Readonly<Record<string, () => void>> = Object.fromEntries(
  pages.map(({ path, letter }) => [`g ${letter}`, () => location.assign(path)]),
);

interface RailProps {
  readonly page: (typeof pages)[number]["title"];
  readonly health: Health | undefined;
  readonly lostPackets: number | undefined;
  onHelp(): void;
}

export function Rail({ page, health, lostPackets, onHelp }: RailProps) {
  return (
    <nav class="rail" aria-label="Pages">
      <div class="id">
        x0<span>tta6bl4</span>
      </div>
      {pages.map(({ path, title, letter }) => (
        <a
          key={path}
          href={path}
          aria-current={title === page ? "page" : undefined}
          title={`${title} (g ${letter})`}
        >
          <span>{title}</span>
          <i class="letter" aria-hidden="true">
            {letter}
          </i>
        </a>
      ))}
      <div class="end s">
        {health?.host}
        <br />
        {health !== undefined && `v${health.version}`}
        <br />
        <span title="packets that the kernel counted and no flow holds">lost {lostPackets ?? "–"}</span>
        <br />
        <button type="button" class="plain" onClick={onHelp}>
          <kbd>?</kbd> keys
        </button>
      </div>
    </nav>
  );
}

export type LiveState = "live" | "held" | "paused" | "past" | "broken";

const liveText: Readonly<Record<LiveState, readonly [label: string, title: string]>> = {
  live: ["live", "Changes show as they happen; Space pauses"],
  held: ["live, held", "The table's order waits; figures go on"],
  paused: ["paused", "Nothing changes; Space goes on"],
  past: ["past", "The range ended: remove until to go live"],
  broken: ["not live", "The node does not answer as asked"],
};

interface BarProps {
  readonly health: Health | undefined;
  readonly live: LiveState;
  readonly theme: string;
  /** The control of the page's range. */
  readonly range: preact.ComponentChildren;
  onLive(): void;
  onTheme(): void;
  onFilter(filter: Filter): void;
}

export function Bar({ health, live, theme, range, onLive, onTheme, onFilter }: BarProps) {
  const [label, title] = liveText[live];
  return (
    <header class="bar">
      <span
        class="node x3"
        title={health && `version ${health.version}, started ${absolute(Date.parse(health.start))}`}
      >
        node <b>{health?.host ?? "…"}</b> <span class="dim x2">{health && `v${health.version}`}</span>
      </span>
      <Search onFilter={onFilter} />
      <span class="sp" />
      {range}
      <button type="button" title={title} aria-pressed={live === "live" || live === "held"} onClick={onLive}>
        <span class={`live ${live}`}>{label}</span>
      </button>
      <button
        type="button"
        class="q"
        title={`Now ${theme}`}
        aria-label={`Switch to ${theme === "dark" ? "light" : "dark"}`}
        onClick={onTheme}
      >
        <span class="x3">theme</span>
        <span class="phone" aria-hidden="true">
          ◐
        </span>
      </button>
    </header>
  );
}

/** Says what it understood before Enter makes a filter of it. */
function Search({ onFilter }: { onFilter(filter: Filter): void }) {
  const [text, setText] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const meaning = Object.entries(interpret(text));
  const submit = (event: Event): void => {
    event.preventDefault();
    if (meaning.length === 0) return;
    onFilter(interpret(text));
    setText("");
    input.current?.blur();
  };
  return (
    <form class="find" onSubmit={submit}>
      <input
        ref={input}
        id="search"
        value={text}
        placeholder="Address, name, port, process"
        aria-label="Search flows by address, name, port, protocol, unit or process"
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Escape") return;
          setText("");
          event.currentTarget.blur();
        }}
      />
      <kbd class="x2">/</kbd>
      {meaning.length > 0 && (
        <output class="meaning s">
          {meaning.map(([key, value]) => (
            <span key={key}>
              {key} <b>{value}</b>
            </span>
          ))}
          <kbd>Enter</kbd>
        </output>
      )}
    </form>
  );
}
