/** The map as a table: for those who do not see it, and for screens that have no room for it. */
import { bytes, count, exact } from "../format.ts";
import { visible } from "../visible.ts";
import type { Graph } from "./graph.ts";

interface Props {
  readonly graph: Graph;
  /** Else it is only read aloud, and the drawing has the keys. */
  readonly isShown: boolean;
  readonly selected: string | undefined;
  onSelect(key: string | undefined): void;
}

export function EdgeTable({ graph, isShown, selected, onSelect }: Props) {
  const labels = labelsOf(graph);
  const end = (key: string) => (
    <button
      type="button"
      class={key === selected ? "plain l" : "plain"}
      title={visible(labels.get(key) ?? key)}
      aria-pressed={key === selected}
      tabIndex={isShown ? 0 : -1}
      onClick={() => onSelect(key === selected ? undefined : key)}
    >
      {visible(labels.get(key) ?? key)}
    </button>
  );
  return (
    <div class="edges">
      <table>
        <caption class="sr">Who talks to whom, most bytes first</caption>
        <thead>
          <tr>
            <th scope="col">from</th>
            <th scope="col">to</th>
            <th scope="col" class="n">
              bytes
            </th>
            <th scope="col" class="n">
              flows
            </th>
            <th scope="col" class="n">
              drops
            </th>
            <th scope="col" class="n">
              resent
            </th>
          </tr>
        </thead>
        <tbody>
          {graph.edges.map((edge) => (
            <tr key={`${edge.from}\0${edge.to}`}>
              <td>{end(edge.from)}</td>
              <td>{end(edge.to)}</td>
              <td class="n" title={exact(edge.bytes, "B")}>
                {bytes(edge.bytes)}
              </td>
              <td class="n">{count(edge.flows)}</td>
              <td class={edge.drops === 0 ? "n dim" : "n"}>{count(edge.drops)}</td>
              <td class={edge.retransmits === 0 ? "n dim" : "n"}>{count(edge.retransmits)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {graph.hiddenEdges > 0 && <p class="s">{exact(graph.hiddenEdges)} more</p>}
    </div>
  );
}

function labelsOf({ nodes }: Graph): ReadonlyMap<string, string> {
  return new Map(nodes.map(({ key, label }) => [key, label]));
}

export function edgesCsv(graph: Graph): string {
  const labels = labelsOf(graph);
  const lines = graph.edges.map(({ from, to, ...sums }) =>
    [field(labels.get(from) ?? from), field(labels.get(to) ?? to), ...Object.values(sums)].join(","),
  );
  return `from,to,bytes,packets,flows,drops,retransmits\n${lines.join("\n")}\n`;
}

/** Quoted, and never the beginning of what a spreadsheet would take for a formula. */
function field(text: string): string {
  const shown = visible(text);
  return `"${(/^[=+\-@]/.test(shown) ? `'${shown}` : shown).replaceAll('"', '""')}"`;
}
