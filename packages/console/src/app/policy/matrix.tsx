/**
 * Who may talk to whom: peers by ports, each cell with its verdict and the flows that were seen in it. What is refused
 * and yet tried stands out, and so does what is allowed and never used: by being empty.
 */
import { count, exact } from "../format.ts";
import { downloadText } from "../save.ts";
import type { Flow } from "../shapes.ts";
import { Tool } from "../tool.tsx";
import { visible } from "../visible.ts";
import { matrixCsv } from "./matrix-csv.ts";
import { matrixSvg } from "./matrix-svg.ts";
import { peerKey, portKey } from "./seen.ts";
import type { Decided, Decision, Direction, Matrix, MatrixAnswer, MatrixPeer } from "./shapes.ts";
import { decisionWords, plural, portText, ruleName, VerdictMark } from "./words.tsx";

interface Props {
  readonly answer: MatrixAnswer | undefined;
  readonly direction: Direction;
  readonly seen: ReadonlyMap<number, readonly Flow[]>;
  /** Of which flows: "of the 1 000 newest flows". */
  readonly scope: string;
  readonly peer: string | undefined;
  readonly port: string | undefined;
  onDirection(direction: Direction): void;
  onEndpoint(endpoint: string | undefined): void;
  onCell(peer: string, port: string): void;
}

export function MatrixPanel(props: Props) {
  const { answer, direction, scope, seen, onDirection, onEndpoint } = props;
  const matrix = answer?.matrix ?? undefined;
  return (
    <section class="panel matrix" aria-label="Who may talk to whom">
      <header>
        <h2>{direction === "ingress" ? "Who may reach" : "What may be reached from"}</h2>
        {(answer?.endpoints.length ?? 0) > 1 ? (
          <select
            aria-label="Whose policy"
            value={answer?.endpoint}
            onChange={({ currentTarget: { value } }) =>
              onEndpoint(value === answer?.endpoints[0] ? undefined : value)
            }
          >
            {answer?.endpoints.map((name, index) => (
              <option key={name} value={name}>
                {visible(name)}
                {index === 0 ? " (this node)" : ""}
              </option>
            ))}
          </select>
        ) : (
          <b class="endpoint">{answer === undefined ? "…" : visible(answer.endpoint)}</b>
        )}
        {/* biome-ignore lint/a11y/useSemanticElements: a fieldset would break the line */}
        <span class="range" role="group" aria-label="Direction">
          {(["ingress", "egress"] as const).map((one) => (
            <button
              type="button"
              key={one}
              class="plain"
              title={one === "ingress" ? "Into it (e changes)" : "Out of it (e changes)"}
              aria-pressed={one === direction}
              onClick={() => onDirection(one)}
            >
              {one}
            </button>
          ))}
        </span>
        {matrix !== undefined && answer !== undefined && (
          <span class="tools r">
            <Tool
              label="svg"
              title="Save the picture as SVG"
              onClick={() => downloadText("x0-policy.svg", "image/svg+xml", matrixSvg(answer, matrix, seen))}
            />
            <Tool
              label="csv"
              title="Save the cells"
              onClick={() => downloadText("x0-policy.csv", "text/csv", matrixCsv(matrix, seen))}
            />
          </span>
        )}
      </header>
      {matrix === undefined ? (
        answer !== undefined && <Silent direction={direction} endpoint={answer.endpoint} />
      ) : (
        <>
          <p class="key">
            <Verdicts matrix={matrix} />
            <span class="dim">numbers: flows seen, {scope}</span>
          </p>
          <Cells {...props} matrix={matrix} />
          <LeftOut matrix={matrix} />
        </>
      )}
    </section>
  );
}

function Silent({ direction, endpoint }: { direction: Direction; endpoint: string }) {
  return (
    <p class="mid silent">
      No policy speaks of {direction} of {visible(endpoint)}: everything passes.
    </p>
  );
}

function Verdicts({ matrix: { cells, verdicts } }: { matrix: Matrix }) {
  const there = new Set(cells.flat().map((at) => verdicts[at]?.decision));
  return (
    <>
      {(["allow", "audit", "deny"] as const)
        .filter((decision) => there.has(decision))
        .map((decision) => (
          <span class="verdict" key={decision}>
            <VerdictMark decision={decision} />
            {decision === "audit" ? "would be denied (audit)" : decisionWords[decision]}
          </span>
        ))}
    </>
  );
}

function LeftOut({ matrix: { leftOut } }: { matrix: Matrix }) {
  const { peers, ports } = leftOut;
  if (peers + ports === 0) return null;
  const said = [
    ...(peers > 0 ? [`${count(peers)} ${plural(peers, "peer")}`] : []),
    ...(ports > 0 ? [`${count(ports)} ${ports === 1 ? "stretch" : "stretches"} of ports`] : []),
  ];
  return <p class="note">Left out for want of room: {said.join(" and ")}.</p>;
}

function Cells({ matrix, seen, peer, port, onCell }: Props & { readonly matrix: Matrix }) {
  const { peers, ports, cells, verdicts } = matrix;
  const isSelected = (row: number, column: number): boolean =>
    peerKey(peers[row] as MatrixPeer) === peer && portKey(ports[column] as Matrix["ports"][0]) === port;
  const selectedRow = peers.findIndex((one) => peerKey(one) === peer);
  const selectedColumn = ports.findIndex((one) => portKey(one) === port);
  const isTabStop = (row: number, column: number): boolean =>
    selectedRow >= 0 && selectedColumn >= 0 ? isSelected(row, column) : row + column === 0;
  return (
    <div class="grid-scroll">
      {/* biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: cells that open make it a grid */}
      <table class="cells" role="grid" onKeyDown={walk}>
        <caption class="sr">Verdicts by peer and port</caption>
        <thead>
          <tr>
            <td />
            {ports.map((one) => (
              <th key={portKey(one)} scope="col" title={portText(one)}>
                <span class="dim">{one.protocol === null ? "all" : one.isRest ? "other" : one.protocol}</span>
                {one.protocol === null ? "else" : one.isRest ? one.protocol : numbers(one.first, one.last)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {peers.map((one, row) => (
            <tr key={peerKey(one)} class={one.kind === peers[row - 1]?.kind ? undefined : "first"}>
              <th scope="row" title={rowTitle(one)}>
                <span class="dim kind">{one.kind === peers[row - 1]?.kind ? "" : kindWords[one.kind]}</span>
                <span class={one.kind === "range" ? "m" : undefined}>{visible(one.name)}</span>
              </th>
              {ports.map((column, at) => {
                const verdict = verdicts[cells[row]?.[at] ?? -1] as Decided;
                const flows = seen.get(row * ports.length + at)?.length ?? 0;
                return (
                  <Cell
                    key={portKey(column)}
                    verdict={verdict}
                    flows={flows}
                    label={`${visible(one.name)}, ${portText(column)}`}
                    isSelected={isSelected(row, at)}
                    isTabStop={isTabStop(row, at)}
                    onOpen={() => onCell(peerKey(one), portKey(column))}
                  />
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const kindWords: Readonly<Record<MatrixPeer["kind"], string>> = {
  host: "this node",
  workload: "workload",
  member: "node",
  range: "range",
  name: "name",
  world: "",
};

const cellClass: Readonly<Record<Decision, string>> = { allow: "ok", audit: "au", deny: "de" };

interface CellProps {
  readonly verdict: Decided;
  readonly flows: number;
  readonly label: string;
  readonly isSelected: boolean;
  readonly isTabStop: boolean;
  onOpen(): void;
}

function Cell({ verdict, flows, label, isSelected, isTabStop, onOpen }: CellProps) {
  const { decision } = verdict;
  const told = `${label}: ${decisionWords[decision]} by ${ruleName(verdict)}; ${exact(flows)} ${plural(flows, "flow")} seen`;
  return (
    <td class={`${cellClass[decision]}${flows > 0 ? " seen" : ""}${isSelected ? " selected" : ""}`}>
      <button
        type="button"
        tabIndex={isTabStop ? 0 : -1}
        aria-pressed={isSelected}
        title={told}
        aria-label={told}
        onClick={onOpen}
      >
        <VerdictMark decision={decision} />
        {flows > 0 && <b>{count(flows)}</b>}
      </button>
    </td>
  );
}

function numbers(first: number, last: number): string {
  return first === last ? String(first) : `${first}–${last}`;
}

/** Prefixes in a title; a node has some, a world two. */
const mostPrefixes = 8;

function rowTitle({ name, prefixes }: MatrixPeer): string {
  const said = prefixes.slice(0, mostPrefixes).join(", ");
  return said === "" || said === name ? visible(name) : `${visible(name)}: ${said}`;
}

/** Arrows go from cell to cell; the page's own arrows are for tables of lines. */
function walk(event: KeyboardEvent): void {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const cell = event.target instanceof Element ? event.target.closest("td") : null;
  const row = cell?.parentElement;
  if (step === undefined || cell == null || row == null) return;
  event.preventDefault();
  const [down = 0, right = 0] = step;
  const line = down === 0 ? row : down > 0 ? row.nextElementSibling : row.previousElementSibling;
  const found = line?.children[[...row.children].indexOf(cell) + right]?.querySelector("button");
  found?.focus();
}
