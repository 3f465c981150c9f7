import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

/** The layer table of ARCHITECTURE.md: an import may only go to a lower layer. Every later package has its place here. */
const layers: readonly (readonly string[])[] = [
  ["core"],
  ["telemetry"],
  ["timeseries", "models", "mesh"],
  ["flows", "traces", "dashboards", "knowledge", "lora", "federation"],
  ["node"],
];
/** Speaks HTTP to `node` and imports no package; `node` serves its files. */
const apart = "console";

/** Namespaces, traffic and faults for the tests of every package; seen from a package's folder. */
const lab = "../../test/lab/index.ts";

const scope = "@x0tta6bl4/";
const product = fileURLToPath(new URL("..", import.meta.url));

interface Manifest {
  readonly name: string;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** Every way in which the packages below `root` leave the table, one sentence each. */
function violationsOf(root: string): string[] {
  return readdirSync(join(root, "packages")).flatMap((name) => {
    const folder = join(root, "packages", name);
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
    return [...manifestViolations(name, manifest), ...importViolations(name, folder, manifest)];
  });
}

function manifestViolations(name: string, manifest: Manifest): string[] {
  const violations: string[] = [];
  if (manifest.name !== scope + name) violations.push(`packages/${name} is named ${manifest.name}`);
  if (name !== apart && layerOf(name) === -1) violations.push(`${name} has no layer`);
  const entries = Object.keys(manifest.exports ?? {}).join(" ");
  if (entries !== ".") violations.push(`${name} exports "${entries}" and not one "."`);
  for (const dependency of Object.keys(declared(manifest, false)))
    if (dependency.startsWith(scope))
      violations.push(...edgeViolations(name, dependency.slice(scope.length)));
  return violations;
}

function importViolations(name: string, folder: string, manifest: Manifest): string[] {
  const runtime = declared(manifest, false);
  const known = declared(manifest, true);
  return sourcesBelow(join(folder, "src")).flatMap((file) => {
    const where = file.slice(dirname(folder).length + 1);
    // What only tests and the bundler use need not be there at run time.
    const allowed = name === apart || isTest(file) ? known : runtime;
    return importsOf(readFileSync(file, "utf8")).flatMap((specifier) => {
      if (specifier.startsWith(".")) {
        const target = resolve(dirname(file), specifier);
        const inside = target.startsWith(`${folder}/`) || (isTest(file) && target === join(folder, lab));
        return inside ? [] : [`${where} reaches into another package: ${specifier}`];
      }
      if (specifier.startsWith("node:")) return [];
      if (builtinModules.includes(specifier)) return [`${where} imports ${specifier} without node:`];
      const [first = "", second = ""] = specifier.split("/");
      const target = first.startsWith("@") ? `${first}/${second}` : first;
      const violations =
        target in allowed || isDevelopment(file, target) ? [] : [`${where} imports ${target}, undeclared`];
      if (target.startsWith(scope)) {
        if (specifier !== target) violations.push(`${where} imports ${specifier} and not ${target}`);
        violations.push(
          ...edgeViolations(name, target.slice(scope.length)).map((edge) => `${where}: ${edge}`),
        );
      }
      return violations;
    });
  });
}

const isTest = (file: string): boolean => /\.test\.tsx?$|\/testing\//.test(file);

/** Tests may also use what the workspace's root brings for all of them. */
function isDevelopment(file: string, target: string): boolean {
  return isTest(file) && ["vitest", "fast-check", "playwright-core"].includes(target);
}

function edgeViolations(from: string, to: string): string[] {
  if (from === to) return [`${from} imports itself by name`];
  if (from === apart) return [`${from} imports ${to}; it may import no package`];
  if (to === apart) return from === "node" ? [] : [`${from} imports ${to}; only node may`];
  const [lower, upper] = [layerOf(to), layerOf(from)];
  if (lower === -1) return [`${from} imports ${to}, which has no layer`];
  if (lower < upper) return [];
  return [`${from} (layer ${upper}) imports ${to} (layer ${lower})`];
}

const layerOf = (name: string): number => layers.findIndex((layer) => layer.includes(name));

function declared(manifest: Manifest, withDevelopment: boolean): Readonly<Record<string, string>> {
  return {
    ...manifest.dependencies,
    ...manifest.optionalDependencies,
    ...manifest.peerDependencies,
    ...(withDevelopment ? manifest.devDependencies : {}),
  };
}

function sourcesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.[cm]?[jt]sx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Specifiers of static imports, re-exports, dynamic imports, `import.meta.resolve` and types. Comments do not count. */
function importsOf(source: string): string[] {
  const code = source.replace(/^\s*(\/\*[\s\S]*?\*\/|\/\/.*)/gm, "");
  const from = /^\s*(?:import|export)\s[\w$*{},\s]*?\bfrom\s*["']([^"']+)["']/gm;
  const bare = /^\s*import\s*["']([^"']+)["']/gm;
  const call = /\b(?:import|import\.meta\.resolve|require|require\.resolve)\s*\(\s*["'`]([^"'`]+)["'`]/g;
  return [from, bare, call].flatMap((form) => [...code.matchAll(form)].map((match) => match[1] as string));
}

test("the packages keep to the layer table", () => {
  expect(violationsOf(product)).toEqual([]);
});

test("every package lies in the workspace and in the build", () => {
  const read = (file: string): unknown => JSON.parse(readFileSync(join(product, file), "utf8"));
  const packages = readdirSync(join(product, "packages")).map((name) => `packages/${name}`);
  const { workspaces } = read("package.json") as { workspaces: string[] };
  const { references } = read("tsconfig.json") as { references: { path: string }[] };
  expect(workspaces.toSorted()).toEqual(packages.toSorted());
  expect(references.map(({ path }) => path).toSorted()).toEqual(packages.toSorted());
});

describe("rejects", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "x0-architecture-"));
    write("core", {}, 'import { z } from "node:fs";\n');
    write(
      "flows",
      { dependencies: { "@x0tta6bl4/core": "0.1.0" } },
      'import { x } from "@x0tta6bl4/core";\n',
    );
  });
  afterEach(() => rmSync(root, { recursive: true }));

  function write(name: string, manifest: Partial<Manifest>, source: string): void {
    mkdirSync(join(root, "packages", name, "src"), { recursive: true });
    const all = { name: scope + name, exports: { ".": {} }, ...manifest };
    writeFileSync(join(root, "packages", name, "package.json"), JSON.stringify(all));
    writeFileSync(join(root, "packages", name, "src/index.ts"), source);
  }
  const needs = (...names: string[]): Partial<Manifest> => ({
    dependencies: Object.fromEntries(names.map((name) => [scope + name, "0.1.0"])),
  });

  test("nothing in a clean tree, whose tests use the lab", () => {
    writeFileSync(join(root, "packages/core/src/a.test.ts"), 'import "../../../test/lab/index.ts";\n');
    expect(violationsOf(root)).toEqual([]);
  });

  test.each<[string, string, Partial<Manifest>, string, string]>([
    [
      "an upward edge",
      "core",
      needs("flows"),
      'import "@x0tta6bl4/flows";',
      "core (layer 0) imports flows (layer 3)",
    ],
    [
      "an upward edge in types only",
      "core",
      needs("flows"),
      'import type { Flow } from "@x0tta6bl4/flows";',
      "layer 3",
    ],
    [
      "an upward edge over lines",
      "core",
      needs("flows"),
      'export {\n  a,\n} from "@x0tta6bl4/flows";',
      "layer 3",
    ],
    ["an upward edge at run time", "core", needs("flows"), 'await import("@x0tta6bl4/flows");', "layer 3"],
    ["an edge only declared", "core", needs("flows"), "", "core (layer 0) imports flows (layer 3)"],
    [
      "a sideways edge",
      "lora",
      needs("flows"),
      'import "@x0tta6bl4/flows";',
      "lora (layer 3) imports flows (layer 3)",
    ],
    [
      "an undeclared package",
      "lora",
      {},
      'import "@x0tta6bl4/core";',
      "lora/src/index.ts imports @x0tta6bl4/core, undeclared",
    ],
    ["an undeclared library", "lora", {}, 'import { z } from "zod";', "imports zod, undeclared"],
    [
      "a library only for development",
      "lora",
      { devDependencies: { zod: "4" } },
      'import "zod";',
      "imports zod, undeclared",
    ],
    [
      "a relative import across",
      "lora",
      {},
      'import "../../core/src/index.ts";',
      "reaches into another package",
    ],
    [
      "the lab in a source",
      "lora",
      {},
      'import "../../../test/lab/index.ts";',
      "reaches into another package",
    ],
    [
      "a deep import by name",
      "lora",
      needs("core"),
      'import "@x0tta6bl4/core/src/queue.ts";',
      "and not @x0tta6bl4/core",
    ],
    [
      "a second entry",
      "lora",
      { exports: { ".": {}, "./internal": {} } },
      "",
      'lora exports ". ./internal" and not one "."',
    ],
    ["a package without a layer", "helpers", {}, "", "helpers has no layer"],
    [
      "a console that imports",
      "console",
      needs("core"),
      'import "@x0tta6bl4/core";',
      "it may import no package",
    ],
    ["a console imported below node", "lora", needs("console"), "", "only node may"],
    [
      "a builtin without its prefix",
      "lora",
      {},
      'import { join } from "path";',
      "imports path without node:",
    ],
  ])("%s", (_, name, manifest, source, expected) => {
    write(name, manifest, source);
    expect(violationsOf(root)).toContainEqual(expect.stringContaining(expected));
  });
});
