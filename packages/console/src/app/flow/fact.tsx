import { Copy } from "../copy.tsx";
import { exact } from "../format.ts";
import type { Counters } from "../shapes.ts";
import { visible } from "../visible.ts";

interface FactProps {
  readonly name: string;
  /** What a click copies, and what is shown unless there is content. */
  readonly text: string;
  readonly title?: string;
  readonly more?: string | undefined;
  readonly mono?: boolean;
  readonly children?: preact.ComponentChildren;
}

/** A label and its value, which a click copies: as it is shown, so that nothing unseen reaches a terminal. */
export function Fact({ name, text, title, more, mono = false, children }: FactProps) {
  const shown = visible(text);
  return (
    <>
      <dt>{name}</dt>
      <dd>
        <Copy text={shown} class={mono ? "copy m" : "copy"} {...(title === undefined ? {} : { title })}>
          {children ?? shown}
        </Copy>
        {more !== undefined && <span class="dim"> {more}</span>}
      </dd>
    </>
  );
}

interface BothProps {
  readonly name: string;
  readonly values: Counters;
  readonly format: (value: number) => string;
  readonly unit: string;
}

/** A counter in both directions. */
export function Both({ name, values, format, unit }: BothProps) {
  return (
    <tr>
      <th scope="row">{name}</th>
      {([values.sent, values.received] as const).map((value, side) => (
        <td key={side === 0 ? "sent" : "received"} class={value === 0 ? "n dim" : "n"}>
          <Copy text={String(value)} title={exact(value, unit)}>
            {format(value)}
          </Copy>
        </td>
      ))}
    </tr>
  );
}
