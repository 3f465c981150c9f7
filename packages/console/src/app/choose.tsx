/** Choices that need more than a press: the ends of a range, and the columns of the table. */
import { useState } from "preact/hooks";
import { columns } from "./columns.tsx";
import { Dialog } from "./dialogs.tsx";
import type { ColumnKey, Filter, View } from "./query.ts";
import { isoSecond, localInput, rangeOf } from "./range.ts";

interface RangeProps {
  readonly filter: Filter;
  readonly nowMs: number;
  onFilter(filter: Filter): void;
  onClose(): void;
}

const hourMs = 3_600_000;

/** From and to in the viewer's zone; the URL says them in UTC. */
export function ChooseRange({ filter, nowMs, onFilter, onClose }: RangeProps) {
  const range = rangeOf(filter, nowMs) ?? { fromMs: nowMs - hourMs, toMs: nowMs };
  const [from, setFrom] = useState(localInput(range.fromMs));
  const [to, setTo] = useState(localInput(range.toMs));
  const [fromMs, toMs] = [Date.parse(from), Date.parse(to)];
  const wrong = !(fromMs < toMs);
  const submit = (event: Event): void => {
    event.preventDefault();
    if (wrong) return;
    onFilter({ since: isoSecond(fromMs), until: isoSecond(toMs) });
    onClose();
  };
  return (
    <Dialog title="Range" onClose={onClose}>
      <form class="choice" onSubmit={submit}>
        <label>
          from
          <input
            type="datetime-local"
            step="1"
            value={from}
            onInput={(event) => setFrom(event.currentTarget.value)}
          />
        </label>
        <label>
          to
          <input
            type="datetime-local"
            step="1"
            value={to}
            onInput={(event) => setTo(event.currentTarget.value)}
          />
        </label>
        <p class="s">
          {wrong ? "A range begins before it ends." : `${isoSecond(fromMs)} to ${isoSecond(toMs)}`}
        </p>
        <button type="submit" disabled={wrong}>
          show
        </button>
      </form>
    </Dialog>
  );
}

interface ColumnsProps {
  readonly view: View;
  onView(view: View): void;
  onClose(): void;
}

export function ChooseColumns({ view, onView, onClose }: ColumnsProps) {
  const chosen = view.columns ?? columns.map(({ key }) => key);
  const toggle = (key: ColumnKey): void => {
    const wanted = columns
      .map((column) => column.key)
      .filter((each) => chosen.includes(each) !== (each === key));
    if (wanted.length > 0) onView({ ...view, columns: wanted });
  };
  const { columns: _, ...rest } = view;
  return (
    <Dialog title="Columns" onClose={onClose}>
      <div class="choice two">
        {columns.map(({ key, title, hint }) => (
          <label key={key} title={hint}>
            <input type="checkbox" checked={chosen.includes(key)} onChange={() => toggle(key)} />
            {title}
          </label>
        ))}
      </div>
      <button type="button" disabled={view.columns === undefined} onClick={() => onView(rest)}>
        as many as fit
      </button>
    </Dialog>
  );
}
