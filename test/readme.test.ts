/**
 * What the documents say is so: every block marked `run` runs, and prints the `text` block behind it; every command,
 * flag, setting, code, metric, path and bench key that a document names exists.
 */
import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadParts, parts, sectionsOf } from "@x0tta6bl4/node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pcap } from "../packages/flows/src/testing/captures.ts";
import { ethernet, icmp, ipv4, ipv6, tcp, udp } from "../packages/flows/src/testing/frames.ts";
import { runX0 } from "../packages/node/src/testing/command.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const documents = ["*.md", "packages/*/README.md", "test/lab/README.md"].flatMap((pattern) =>
  globSync(pattern, { cwd: root }).sort(),
);
const textOf = (path: string): string => readFileSync(join(root, path), "utf8");

interface Block {
  readonly language: string;
  readonly isRun: boolean;
  readonly text: string;
  /** The `text` block right behind it. */
  readonly output: string | undefined;
}

function blocksOf(text: string): Block[] {
  const found = [...text.matchAll(/^```(\w+)( run)?\n([\s\S]*?)^```\n(?:\n```text\n([\s\S]*?)^```\n)?/gm)];
  return found.map(([, language = "", run, body = "", output]) => ({
    language,
    isRun: run !== undefined,
    text: body,
    output,
  }));
}

const inlineOf = (text: string): string[] =>
  [...text.replace(/^```[\s\S]*?^```$/gm, "").matchAll(/`([^`\n]+)`/g)].map((match) => match[1] as string);

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "x0-readme-"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const main = join(root, "packages/node/src/cli/main.ts");
  writeFileSync(join(folder, "x0"), `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`, {
    mode: 0o755,
  });
  writeFileSync(join(folder, "capture.pcap"), capture());
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A TCP connection, a DNS query and a ping. */
function capture(): Uint8Array {
  const to = { source: "10.0.0.1", destination: "10.0.0.2" };
  const back = { source: to.destination, destination: to.source };
  const ask = { sourcePort: 40_000, destinationPort: 443 };
  const answer = { sourcePort: 443, destinationPort: 40_000 };
  const six = { source: "2001:db8::1", destination: "2001:db8::53" };
  const packets = [
    ipv4(to, tcp({ ...ask, flags: 0x02 })),
    ipv4(back, tcp({ ...answer, flags: 0x12 })),
    ipv4(to, tcp({ ...ask, flags: 0x18 }, new Uint8Array(100))),
    ipv4(back, tcp({ ...answer, flags: 0x18 }, new Uint8Array(1000))),
    ipv4(back, tcp({ ...answer, flags: 0x14 })),
    ipv6(six, udp({ sourcePort: 50_000, destinationPort: 53 }, new Uint8Array(30))),
    ipv4(to, icmp({ type: 8, id: 7 }, new Uint8Array(56))),
  ];
  return pcap(
    packets.map((packet, index) => ({
      frame: ethernet(packet),
      timestampNs: 1_767_225_600_000_000_000n + BigInt(index) * 1_000_000n,
    })),
  );
}

function runBlock({ language, text }: Block): { readonly status: number | null; readonly output: string } {
  const script = join(folder, `block.${language}`);
  writeFileSync(script, language === "sh" ? `set -euo pipefail\n${text}` : text);
  const command = language === "sh" ? "bash" : process.execPath;
  const { status, stdout, stderr } = spawnSync(command, [script], {
    cwd: folder,
    encoding: "utf8",
    env: {
      PATH: [folder, process.env["PATH"]].join(delimiter),
      HOME: folder,
      TZ: "UTC",
      NODE_OPTIONS: "--conditions=x0tta6bl4-source",
      X0_DATA_DIR: join(folder, "data"),
    },
  });
  return { status, output: status === 0 ? stdout : stdout + stderr };
}

describe.each(documents)("%s", (path) => {
  const text = textOf(path);
  const runnable = blocksOf(text).filter(({ isRun }) => isRun);

  test.each(runnable.map((block, index) => [index + 1, block] as const))("block %i runs", (_, block) => {
    const { status, output } = runBlock(block);
    expect(output.trimEnd()).toBe(block.output?.trimEnd() ?? output.trimEnd());
    expect(status).toBe(0);
    expect(block.text.trim().split("\n").length).toBeLessThanOrEqual(30);
  });

  test("names only what exists", async () => {
    expect(await inventionsOf(path, text)).toEqual([]);
  });
});

test("every package has a README with an example that runs", () => {
  for (const manifest of globSync("packages/*/package.json", { cwd: root })) {
    const path = join(dirname(manifest), "README.md");
    const runnable = blocksOf(textOf(path)).filter(({ isRun }) => isRun);
    expect(runnable.length, path).toBeGreaterThan(0);
  }
});

test.each([
  ["`x0 flows obsrve`"],
  ["`x0 flows observe --colour`"],
  ["```sh\nx0 dokter\n```\n"],
  ["`npm run benhc`"],
  ["`npm run -s bench -- warp`"],
  ["`flows.max_flow`"],
  ["`X0_FLOWS_MAX_FLOW`"],
  ["`x0tta6bl4_flow_total`"],
  ["`/api/v2/flows`"],
  ["`src/no-such-file.ts`"],
  ["[here](docs/nowhere.md)"],
  ["| `start` | `help_s` | |"],
])("an invention is found: %s", async (text) => {
  expect(await inventionsOf("README.md", text)).toHaveLength(1);
});

/** What a text names and the product does not have. */
async function inventionsOf(path: string, text: string): Promise<string[]> {
  const inline = inlineOf(text);
  const lines = blocksOf(text)
    .filter(({ language }) => ["sh", "console"].includes(language))
    .flatMap((block) => block.text.split("\n"))
    .map((line) => (/^[$#] /.test(line) ? line.slice(2) : line).replace(/ +#.*$/, ""));
  const commands = [...inline, ...lines];
  const all = [...inline, ...blocksOf(text).flatMap((block) => block.text.split("\n"))];
  const found = [
    ...(await Promise.all(commands.map(unknownCommand))).flat(),
    ...commands.flatMap(unknownScript),
    ...(await unknownSettings(all)),
    ...all.flatMap((code) =>
      unlisted(code, /\bX0_[A-Z]+(?:_[A-Z]+)+\b/g, "docs/config.md", "docs/errors.md"),
    ),
    ...all.flatMap((code) => unlisted(code, /\bx0tta6bl4_[a-z0-9_]+\b/g, "docs/metrics.md")),
    ...inline.flatMap(unknownRoute),
    ...inline.flatMap((code) => missingFile(path, code)),
    ...[...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].flatMap(([, target = ""]) =>
      existsSync(join(root, dirname(path), target)) ? [] : [`link ${target}`],
    ),
    ...unknownBenchKeys(text),
  ];
  return [...new Set(found)];
}

/** `x0 noun verb --flag …`, wherever it stands in a line. */
async function unknownCommand(line: string): Promise<string[]> {
  const match = /(?:^|[\s`(])x0((?: +[^|>&;`]+)?)$/.exec(line.split(/ [|>&]/, 1)[0] as string);
  if (match === null) return [];
  const words = (match[1] as string).trim().split(/ +/).filter(Boolean);
  const end = words.findIndex((word) => !/^[a-z]+$/.test(word));
  const nouns = end === -1 ? words : words.slice(0, end);
  const help = await runX0([...nouns, "--help"], parts);
  if (help.code !== 0) return [`command x0 ${nouns.join(" ")}`];
  const flags = words.filter((word) => /^--?[a-z]/.test(word)).map((word) => word.replace(/=.*$/, ""));
  return flags
    .filter((flag) => !new RegExp(`(^|[\\s[|])${flag}(?![\\w-])`, "m").test(help.stdout))
    .map((flag) => `flag ${flag} of x0 ${nouns.join(" ")}`);
}

const ownOfNpm = ["ci", "install", "config", "exec"];
const scripts = Object.keys(JSON.parse(textOf("package.json")).scripts as object);

function unknownScript(line: string): string[] {
  const [, script, after = ""] = /\bnpm (?:run (?:-s )?)?([a-z]+)(?: -- ([a-z-]+))?/.exec(line) ?? [];
  if (script === undefined || ownOfNpm.includes(script)) return [];
  if (!scripts.includes(script)) return [`npm script ${script}`];
  const isKnown = !/^[a-z]/.test(after) || existsSync(join(root, script, `${after}.ts`));
  return isKnown ? [] : [`${script} ${after}`];
}

async function unknownSettings(codes: readonly string[]): Promise<string[]> {
  const sections = sectionsOf(await loadParts(parts));
  return codes.flatMap((code) =>
    [...code.matchAll(/(?<![/\w.-])([a-z]+)\.([a-z_]+)\b(?!\()/g)].flatMap(([whole, name, key = ""]) => {
      const section = sections.find((candidate) => candidate.name === name);
      if (section === undefined || /^(ts|js|json|css|md)$/.test(key)) return [];
      return Object.hasOwn(section.schema.shape, key) ? [] : [`setting ${whole}`];
    }),
  );
}

/** The reference pages are written from the code, and `docs.test.ts` keeps them so. */
function unlisted(code: string, pattern: RegExp, ...pages: string[]): string[] {
  return [...code.matchAll(pattern)]
    .map(([name]) => name)
    .filter((name) => !pages.some((page) => new RegExp(`\\b${name}\\b`).test(textOf(page))))
    .map((name) => `${name}, which ${pages.join(" and ")} lack`);
}

const routes = new Set(
  globSync("packages/*/src/**/*.ts", { cwd: root, exclude: (name) => name.endsWith(".test.ts") })
    .flatMap((file) => [...textOf(file).matchAll(/(?:path: |app\.get\()"(\/[^"*]+)"/g)])
    .map((match) => match[1] as string),
);

function unknownRoute(code: string): string[] {
  const path = /^(?:GET )?(\/(?:api|metrics|healthz|readyz)[^?\s]*)/.exec(code)?.[1];
  return path === undefined || routes.has(path) ? [] : [`route ${path}`];
}

/** Paths are seen from the document's folder, from the package or from the repository. */
function missingFile(document: string, code: string): string[] {
  if (!/^(\.ci|bench|bpf|conformance|docs|packages|scripts|src|test)\/[\w./-]*$/.test(code)) return [];
  if (code.includes("NAME")) return [];
  return [root, join(root, dirname(document))].some((folder) => existsSync(join(folder, code)))
    ? []
    : [`file ${code}`];
}

function unknownBenchKeys(text: string): string[] {
  return [...text.matchAll(/^\| `([a-z-]+)` \| ((?:`[a-z0-9_]+`(?:, )?)+) \|/gm)].flatMap(
    ([, bench = "", keys = ""]) => {
      if (!existsSync(join(root, `bench/${bench}.ts`))) return [`bench ${bench}`];
      const source = textOf(`bench/${bench}.ts`);
      return [...keys.matchAll(/`(\w+)`/g)]
        .map((match) => match[1] as string)
        .filter((key) => !new RegExp(`\\b${key}\\b`).test(source))
        .map((key) => `key ${key} of bench ${bench}`);
    },
  );
}
