/** The range of the page: live, a preset back from now, or two ends. */
import type { Filter } from "./query.ts";
import { choiceOf, presets } from "./range.ts";

interface Props {
  readonly filter: Filter;
  onFilter(filter: Filter): void;
  /** Without a range, and going on. */
  onLive(): void;
  /** Asks for two ends. */
  onCustom(): void;
}

const choices = ["live", ...presets, "custom"] as const;
const titles: Readonly<Partial<Record<(typeof choices)[number], string>>> = {
  live: "The newest on record, and what comes",
  custom: "From one time to another",
};

export function TimeBar({ filter, onFilter, onLive, onCustom }: Props) {
  const current = choiceOf(filter);
  const choose = (choice: string): void => {
    if (choice === "custom") onCustom();
    else if (choice === "live") onLive();
    else onFilter({ since: choice, until: undefined });
  };
  return (
    <>
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset would break the line */}
      <span class="range x2" role="group" aria-label="Range">
        {choices.map((choice) => (
          <button
            type="button"
            key={choice}
            class="plain"
            title={titles[choice] ?? `The last ${choice}, and what comes`}
            aria-pressed={choice === current}
            onClick={() => choose(choice)}
          >
            {choice}
          </button>
        ))}
      </span>
      <select
        class="range narrow"
        aria-label="Range"
        value={current}
        onChange={(event) => {
          choose(event.currentTarget.value);
          // What is shown is what the URL says, whether the choice was made or given up.
          event.currentTarget.value = current;
        }}
      >
        {choices.map((choice) => (
          <option key={choice}>{choice}</option>
        ))}
      </select>
    </>
  );
}
