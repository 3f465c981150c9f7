import { bytesPerSecond, clock, perSecond } from "./format.ts";
import type { Slot } from "./series.ts";

interface Props {
  readonly caption: string;
  /** What the second column counts. */
  readonly other: string;
  /** Newest first. */
  readonly slots: readonly Slot[];
}

/** The charts for those who do not see them. */
export function ChartTable({ caption, other, slots }: Props) {
  return (
    <div class="sr">
      <table>
        <caption>{caption}, newest first</caption>
        <thead>
          <tr>
            <th scope="col">from</th>
            <th scope="col">bytes per second</th>
            <th scope="col">{other} per second</th>
          </tr>
        </thead>
        <tbody>
          {slots.map(({ second, bytes, packets }) => (
            <tr key={second}>
              <th scope="row">{clock(second * 1000)}</th>
              <td>{bytes === null ? "no data" : bytesPerSecond(bytes)}</td>
              <td>{packets === null ? "no data" : perSecond(packets)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
