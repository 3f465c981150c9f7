import { bytesPerSecond, clock, perSecond } from "./format.ts";
import type { Series } from "./series.ts";

/** The charts for those who do not see them: means of half a minute, newest first. */
export function ChartTable({ series }: { series: Series }) {
  return (
    <div class="sr">
      <table>
        <caption>Traffic of the whole host, means over 30 seconds, newest first</caption>
        <thead>
          <tr>
            <th scope="col">from</th>
            <th scope="col">bytes per second</th>
            <th scope="col">packets per second</th>
          </tr>
        </thead>
        <tbody>
          {series.slots().map(({ second, bytes, packets }) => (
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
