/**
 * The reference pages that are written from the code: error codes, configuration, metrics. After a change,
 * `UPDATE_DOCS=1 vitest run test/docs.test.ts` writes them anew.
 */
import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { ErrorTable } from "@x0tta6bl4/core";
import { configMarkdown, loadParts, parts, sectionsOf } from "@x0tta6bl4/node";
import { catalogue } from "@x0tta6bl4/telemetry";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

test("docs/errors.md lists every code of every package", async () => {
  const tables = await errorTables();
  for (const [name, table] of tables)
    for (const code of Object.keys(table))
      expect(code).toMatch(new RegExp(`^X0_${name.toUpperCase()}_[A-Z0-9_]+$`));
  keep("docs/errors.md", errorsMarkdown(tables));
});

test("docs/config.md lists every key of every part", async () => {
  keep("docs/config.md", configMarkdown(sectionsOf(await loadParts(parts))));
});

test("docs/metrics.md lists the whole catalogue", () => {
  keep("docs/metrics.md", metricsMarkdown());
});

test("the list of parts says what the parts themselves say", async () => {
  for (const entry of parts) {
    const { name, summary, commands = {} } = await entry.load();
    expect({ name, summary, verbs: Object.keys(commands) }).toEqual({
      name: entry.name,
      summary: entry.summary,
      verbs: entry.verbs,
    });
  }
});

function keep(path: string, text: string): void {
  const file = `${root}${path}`;
  if (process.env["UPDATE_DOCS"] === "1") writeFileSync(file, text);
  const current = existsSync(file) ? readFileSync(file, "utf8") : "";
  expect(current, `${path} is out of date: UPDATE_DOCS=1 vitest run test/docs.test.ts`).toBe(text);
}

async function errorTables(): Promise<[string, ErrorTable][]> {
  const tables: [string, ErrorTable][] = [];
  for (const file of globSync("packages/*/src/errors.ts", { cwd: root }).sort()) {
    const name = file.split("/")[1] as string;
    const exported = (await import(`${root}${file}`)) as Record<string, ErrorTable>;
    tables.push([name, exported[`${name}Errors`] as ErrorTable]);
  }
  return tables;
}

function errorsMarkdown(tables: readonly [string, ErrorTable][]): string {
  const lines = [
    "# Errors",
    "",
    "Every error says what happened and what to do next; its code is stable. The command line ends with the exit",
    "status of this table; over HTTP 2 is a 4xx status, 3 is 401, 403 or 501, and 1 is 500 or 503.",
  ];
  for (const [name, table] of tables) {
    lines.push("", `## ${name}`, "", "| code | exit | when |", "|---|---|---|");
    for (const [code, { exit, when }] of Object.entries(table))
      lines.push(`| \`${code}\` | ${exit} | ${when} |`);
  }
  return `${lines.join("\n")}\n`;
}

function metricsMarkdown(): string {
  const lines = [
    "# Metrics",
    "",
    "`GET /metrics` answers in Prometheus text format 0.0.4, or in OpenMetrics 1.0.0 where the client prefers it.",
    "It needs no token on loopback.",
  ];
  for (const [part, metrics] of Object.entries(catalogue)) {
    lines.push("", `## ${part}`, "", "| metric | type | labels | meaning |", "|---|---|---|---|");
    for (const { name, type, labels, help } of Object.values(metrics))
      lines.push(`| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(", ")} | ${help} |`);
  }
  return `${lines.join("\n")}\n`;
}
