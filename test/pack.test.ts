import { execFileSync, type SpawnSyncReturns, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const product = fileURLToPath(new URL("..", import.meta.url));
const { workspaces, version } = JSON.parse(readFileSync(join(product, "package.json"), "utf8")) as {
  readonly workspaces: readonly string[];
  readonly version: string;
};

interface Packed {
  readonly name: string;
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

let top: string;
let packed: readonly Packed[];

beforeAll(() => {
  top = mkdtempSync(join(tmpdir(), "x0-pack-"));
  const clean = join(top, "clean");
  copySources(clean);
  run("node", ["scripts/build.mjs"], clean);
  packed = packAll(clean);
});
afterAll(() => rmSync(top, { recursive: true, force: true }));

/** A copy without outputs: what was compiled here from sources that are gone must not hide what a clean build lacks. */
function copySources(clean: string): void {
  const made = /\/(dist|node_modules)$/;
  for (const path of [
    "packages",
    "scripts",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "tsconfig.base.json",
  ])
    cpSync(join(product, path), join(clean, path), {
      recursive: true,
      filter: (source) => !made.test(source),
    });
  const modules = join(clean, "node_modules");
  mkdirSync(join(modules, "@x0tta6bl4"), { recursive: true });
  for (const name of readdirSync(join(product, "node_modules")))
    if (name !== "@x0tta6bl4") symlinkSync(join(product, "node_modules", name), join(modules, name));
  for (const workspace of workspaces)
    symlinkSync(join(clean, workspace), join(modules, "@x0tta6bl4", workspace.slice("packages/".length)));
}

function packAll(clean: string): readonly Packed[] {
  const output = run("npm", ["pack", "--workspaces", "--json", "--pack-destination", top], clean);
  const answer = JSON.parse(output) as readonly Packed[] | Readonly<Record<string, Packed>>;
  return Object.values(answer);
}

/** A user's environment, with this Node first. */
function environment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(X0_|NODE_OPTIONS$)/.test(name));
  const path = (process.env["PATH"] ?? "")
    .split(delimiter)
    .filter((folder) => !folder.includes("node_modules"));
  return { ...Object.fromEntries(inherited), PATH: [dirname(process.execPath), ...path].join(delimiter) };
}

function run(command: string, args: readonly string[], cwd: string): string {
  return execFileSync(command, args, {
    cwd,
    encoding: "utf8",
    env: environment(),
    stdio: ["ignore", "pipe", "pipe"],
  });
}

const filesOf = (name: string): string[] =>
  packed.find((one) => one.name === `@x0tta6bl4/${name}`)?.files.map(({ path }) => path) ?? [];

test("every package is packed, with what was compiled and nothing else", () => {
  expect(packed.map(({ name }) => name.replace("@x0tta6bl4/", "packages/")).toSorted()).toEqual(
    workspaces.toSorted(),
  );
  for (const { name, files } of packed) {
    const paths = files.map(({ path }) => path);
    expect(paths, name).toEqual(expect.arrayContaining(["package.json", "dist/index.js", "dist/index.d.ts"]));
    const foreign = /tsbuildinfo|\.test\.|(^|\/)(src|testing|node_modules)\/|(?<!\.d)\.[cm]?tsx?$|\.[ch]$/;
    expect(
      paths.filter((path) => foreign.test(path)),
      name,
    ).toEqual([]);
  }
});

test("the kernel programs, the page and the command are in their packages", () => {
  expect(filesOf("flows")).toContainEqual(expect.stringMatching(/^bpf\/\w+\.blob$/));
  expect(filesOf("console")).toContainEqual(expect.stringMatching(/^dist\/.+\.html$/));
  expect(filesOf("node")).toContain("bin/x0.mjs");
});

test("the tarballs installed in an empty folder give a working x0", (context) => {
  const empty = join(top, "empty");
  mkdirSync(empty);
  const tarballs = packed.map(({ filename }) => join(top, filename));
  const options = { cwd: empty, encoding: "utf8", env: environment() } as const;
  const install = spawnSync("npm", ["install", "--prefer-offline", "--loglevel=error", ...tarballs], options);
  if (isOffline(install)) context.skip("npm has neither a package source nor the packages in its cache");
  expect(install.status, install.stderr).toBe(0);

  const x0 = (...args: string[]) => spawnSync(join(empty, "node_modules/.bin/x0"), args, options);
  const help = x0("--help");
  expect(help).toMatchObject({ status: 0, stderr: "" });
  expect(help.stdout).toContain("doctor");
  expect(x0("--version").stdout.trim()).toContain(version);
  const doctor = x0("--data-dir", join(top, "data"), "doctor");
  expect(doctor.stderr).toBe("");
  expect(doctor.stdout.split("\n").length).toBeGreaterThan(5);
});

function isOffline({ status, stderr }: SpawnSyncReturns<string>): boolean {
  return status !== 0 && /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ENOTCACHED|ENETUNREACH/.test(stderr);
}
