import type { Flow } from "../shapes.ts";
import { visible } from "../visible.ts";
import { peerKey, portKey } from "./seen.ts";
import type { Matrix } from "./shapes.ts";

/** The cells as lines of RFC 4180. A field that a spreadsheet would take for a formula begins with a quote of its own. */
export function matrixCsv(matrix: Matrix, seen: ReadonlyMap<number, readonly Flow[]>): string {
  const { peers, ports, cells, verdicts } = matrix;
  const lines = peers.flatMap((peer, row) =>
    ports.map((port, column) => {
      const { decision, policy, path } = verdicts[cells[row]?.[column] ?? -1] ?? {};
      const flows = seen.get(row * ports.length + column)?.length ?? 0;
      return [peerKey(peer), portKey(port), decision, policy, path, flows]
        .map((value) => field(value))
        .join(",");
    }),
  );
  return `${["peer,port,decision,policy,path,flows_seen", ...lines].join("\n")}\n`;
}

function field(value: string | number | undefined): string {
  if (value === undefined) return "";
  const text = visible(String(value));
  const safe = /^[=+@\t-]/.test(text) ? `'${text}` : text;
  return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
