/** The matrix as a picture of its own, in the colours of the theme. */
import { count } from "../format.ts";
import { token } from "../save.ts";
import type { Flow } from "../shapes.ts";
import { visible } from "../visible.ts";
import type { Decision, Matrix, MatrixAnswer } from "./shapes.ts";
import { decisionWords, portText } from "./words.tsx";

const names = 220;
const head = 84;
const cell = { width: 64, height: 24 };
const colours: Readonly<Record<Decision, string>> = {
  allow: "--allowed",
  audit: "--warning",
  deny: "--denied",
};
const marks: Readonly<Record<Decision, string>> = {
  allow: "M3 0a3 3 0 1 1 .001 0z",
  audit: "M0-1h7v7H0zM1.6.6v3.8h3.8V.6z",
  deny: "M-1-1h9v9h-9zM1 2.6v1.8h5V2.6z",
};

export function matrixSvg(
  { endpoint, direction }: MatrixAnswer,
  { peers, ports, cells, verdicts }: Matrix,
  seen: ReadonlyMap<number, readonly Flow[]>,
): string {
  const [ink, ink2, line] = [token("--ink"), token("--ink2"), token("--line")];
  const width = names + ports.length * cell.width + 16;
  const height = head + peers.length * cell.height + 16;
  const text = (x: number, y: number, fill: string, content: string, more = ""): string =>
    `<text x="${x}" y="${y}" fill="${fill}"${more}>${escaped(visible(content))}</text>`;
  const rows = peers.map((peer, row) => {
    const y = head + row * cell.height;
    const squares = ports.map((_, column) => {
      const { decision = "allow" } = verdicts[cells[row]?.[column] ?? -1] ?? {};
      const flows = seen.get(row * ports.length + column)?.length ?? 0;
      const x = names + column * cell.width;
      const colour = token(colours[decision]);
      const title = `<title>${decisionWords[decision]}</title>`;
      return `<g>${title}<rect x="${x + 1}" y="${y + 1}" width="${cell.width - 2}" height="${cell.height - 2}" fill="${colour}" fill-opacity="0.14"/><path transform="translate(${x + 10} ${y + 8})" fill="${colour}" fill-rule="evenodd" d="${marks[decision]}"/>${flows > 0 ? text(x + cell.width - 8, y + 16, ink, count(flows), ' text-anchor="end"') : ""}</g>`;
    });
    return `${text(8, y + 16, ink, peer.name)}${squares.join("")}`;
  });
  const columns = ports.map((port, column) =>
    text(
      names + column * cell.width + 8,
      head - 8,
      ink2,
      portText(port),
      ` transform="rotate(-35 ${names + column * cell.width + 8} ${head - 8})"`,
    ),
  );
  const title = `${direction} of ${endpoint}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="${token("--bg0")}"/>${text(8, 20, ink, title, ' font-weight="600"')}<path stroke="${line}" d="M8 ${head}H${width - 8}"/>${columns.join("")}${rows.join("")}</svg>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
