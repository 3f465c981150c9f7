/** `x0 flows summary`. */
import { once } from "node:events";
import { type CliContext, formatBytes, formatCount, jsonLine, printable } from "@x0tta6bl4/core";
import { parsed } from "../observe/agent.ts";
import { coverText } from "../observe/covers.ts";
import type { SummaryFlags } from "./command.ts";
import { type Summary, summarySchema } from "./schema.ts";

export async function showSummary(this: CliContext, flags: SummaryFlags): Promise<void> {
  const { since, until, top } = flags;
  const answer = await this.agent.get("/api/v1/flows/summary", {
    since,
    top: String(top),
    ...(until === undefined ? {} : { until }),
  });
  const summary = parsed(summarySchema, answer);
  const text = flags.output === "json" ? jsonLine(summary) : summaryText(summary);
  if (!this.stdout.write(text)) await once(this.stdout, "drain", { signal: this.signal });
}

type Cell = string | number;

/** Sections one below the other; those without entries are left out. */
export function summaryText(summary: Summary): string {
  const { total, estimated } = summary;
  const traffic = ({ bytes, packets, flows }: Summary["total"]): Cell[] => [
    formatBytes(bytes),
    formatCount(packets),
    formatCount(flows),
  ];
  const section = (key: keyof Summary, title: string, columns: readonly string[], rows: readonly Cell[][]) =>
    rows.length === 0
      ? []
      : [`${title}${estimated.includes(key) ? ", at least" : ""}\n${table(columns, rows)}`];
  const named = (ip: string, name: string | null): string => (name === null ? ip : `${ip} ${name}`);
  const counts = ["BYTES", "PACKETS", "FLOWS"];
  return [
    `${coverText(summary.covers)}${formatBytes(total.bytes)} in ${formatCount(total.packets)} packets; ${formatCount(total.flows)} flows began\n`,
    ...section(
      "talkers",
      "Top talkers",
      [...counts, "ADDRESS"],
      summary.talkers.map((each) => [...traffic(each), named(each.ip, each.name)]),
    ),
    ...section(
      "services",
      "Services",
      [...counts, "SERVICE"],
      summary.services.map((each) => [
        ...traffic(each),
        `${named(each.port === 0 ? each.ip : endpoint(each.ip, each.port), each.name)} ${each.protocol}`,
      ]),
    ),
    ...section(
      "processes",
      "Processes",
      [...counts, "PROCESS"],
      summary.processes.map((each) => [
        ...traffic(each),
        [each.process, each.unit, each.container?.slice(0, 12)].filter((part) => part != null).join(" "),
      ]),
    ),
    ...section(
      "drops",
      "Dropped packets",
      ["PACKETS", "REASON"],
      summary.drops.map((each) => [formatCount(each.packets), each.reason]),
    ),
    ...section(
      "dnsFailures",
      "Names without an answer",
      ["TIMES", "CODE", "NAME"],
      summary.dnsFailures.map((each) => [formatCount(each.count), each.rcode ?? "no answer", each.name]),
    ),
    ...section(
      "scans",
      "Scans",
      ["COUNT", "KIND", "FROM", "LATEST AT", "TARGET"],
      summary.scans.map((each) => [formatCount(each.count), each.scan, each.ip, each.latest, each.target]),
    ),
    ...section(
      "newDestinations",
      `New destinations, not met since ${summary.compared.from}${summary.compared.isComplete ? "" : " (the history does not reach back so far, or has gaps)"}`,
      [...counts, "FIRST AT", "ADDRESS"],
      summary.newDestinations.map((each) => [...traffic(each), each.first, named(each.ip, each.name)]),
    ),
  ].join("\n");
}

function endpoint(ip: string, port: number): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** Figures to the right, text to the left; the last column is text. */
function table(titles: readonly string[], rows: readonly Cell[][]): string {
  const cells = [titles, ...rows.map((row) => row.map((cell) => printable(String(cell))))];
  const widths = titles.map((_, column) => Math.max(...cells.map((row) => [...(row[column] ?? "")].length)));
  return cells
    .map((row) => {
      const padded = row.map((cell, column) => {
        const blanks = " ".repeat((widths[column] ?? 0) - [...cell].length);
        return /^(BYTES|PACKETS|FLOWS|TIMES|COUNT)$/.test(titles[column] ?? "")
          ? blanks + cell
          : cell + blanks;
      });
      return `  ${padded.join("  ").trimEnd()}\n`;
    })
    .join("");
}
