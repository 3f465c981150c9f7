/**
 * A checkout of a small product with our own `scripts/` and `x0.mjs`: two workspaces, one package from a
 * registry, the real TypeScript and the real Node 24 behind packages of their names. Small, so that the tests of
 * setup can run the real npm many times.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Registry, startRegistry } from "./registry.ts";

const product = fileURLToPath(new URL("../..", import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly uid?: number;
}

export interface Checkout extends AsyncDisposable {
  readonly folder: string;
  readonly registry: Registry;
  path(...parts: string[]): string;
  write(path: string, content: string): void;
  /** As a `git pull` would: the manifest and the lockfile now name this version of `greeting`. */
  require(greeting: string, integrity?: string): void;
  publish(greeting: string): string;
  /** `npm` with these arguments to its end, under the Node that a user's shell would find. */
  npm(args: readonly string[], options?: RunOptions): Promise<Outcome>;
  start(options?: RunOptions): Promise<Outcome>;
  spawn(command: string, args: readonly string[]): ChildProcess;
}

export interface CheckoutOptions {
  /** What `bin/node` of the package that brings Node 24 does; undefined: the registry lacks the package. */
  readonly node?: "runs" | "broken" | "missing";
}

/** PATH without what an installation of ours put there. */
export const systemPath = (process.env["PATH"] ?? "")
  .split(delimiter)
  .filter((folder) => !folder.includes("node_modules"))
  .join(delimiter);

export async function createCheckout(options: CheckoutOptions = {}): Promise<Checkout> {
  const { node = "runs" } = options;
  const top = realpathSync(mkdtempSync(join(tmpdir(), "x0-setup-")));
  chmodSync(top, 0o755);
  const folder = join(top, "clone");
  const path = (...parts: string[]): string => join(folder, ...parts);
  const write = (file: string, content: string): void => {
    mkdirSync(dirname(path(file)), { recursive: true });
    writeFileSync(path(file), content);
  };
  const tools = placeTools(join(top, "tools"));
  const registry = await startRegistry();
  const nodePackage = `node-linux-${process.arch}`;
  const platform = { os: ["linux"], cpu: [process.arch] };
  const pinned: Record<string, Record<string, unknown>> = {
    typescript: {
      version: "7.0.0",
      integrity: registry.publish({
        name: "typescript",
        version: "7.0.0",
        manifest: { bin: { tsc: "bin/tsc" } },
        files: { "bin/tsc": launcher(tools.tsc) },
      }),
      bin: { tsc: "bin/tsc" },
    },
    [nodePackage]: {
      version: "24.0.0",
      integrity:
        node === "missing"
          ? "sha512-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
          : registry.publish({
              name: nodePackage,
              version: "24.0.0",
              manifest: { bin: { node: "bin/node" }, ...platform },
              files: {
                "bin/node":
                  node === "runs" ? `#!/bin/sh\nexec '${tools.node}' "$@"\n` : "#!/bin/sh\nexit 1\n",
              },
            }),
      ...platform,
      optional: true,
      bin: { node: "bin/node" },
    },
  };
  cpSync(join(product, "scripts"), path("scripts"), { recursive: true });
  write(".npmrc", readFileSync(join(product, ".npmrc"), "utf8"));
  writeWorkspace(write);
  mkdirSync(path("packages/node/bin"), { recursive: true });
  copyFileSync(join(product, "packages/node/bin/x0.mjs"), path("packages/node/bin/x0.mjs"));

  const begin = (command: string, args: readonly string[], { uid }: RunOptions = {}): ChildProcess => {
    const home = join(top, `home-${uid ?? "own"}`);
    mkdirSync(home, { recursive: true });
    if (uid !== undefined) chownSync(home, uid, uid);
    return spawn(command, args, {
      cwd: folder,
      env: { PATH: systemPath, HOME: home, npm_config_registry: registry.url },
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
  };
  const npm = (args: readonly string[], run?: RunOptions): Promise<Outcome> =>
    outcomeOf(begin("npm", args, run));
  const checkout: Checkout = {
    folder,
    registry,
    path,
    write,
    publish: (version) =>
      registry.publish({
        name: "greeting",
        version,
        manifest: { type: "module", exports: { types: "./index.d.ts", default: "./index.js" } },
        files: {
          "index.js": `export const greeting = "greeting ${version}";\n`,
          "index.d.ts": "export declare const greeting: string;\n",
        },
      }),
    require(version, integrity = checkout.publish(version)) {
      writeManifests(write, pinned, { version, integrity });
    },
    npm,
    start: (run) => npm(["start", "--silent"], run),
    spawn: begin,
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      rmSync(top, { recursive: true, force: true });
    },
  };
  checkout.require("1.0.0");
  return checkout;
}

export async function outcomeOf(child: ChildProcess): Promise<Outcome> {
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

/** Names of their own, because the clone's owner in a test may not reach the folder that this repository lies in. */
function placeTools(folder: string): { readonly node: string; readonly tsc: string } {
  mkdirSync(folder);
  const node = join(folder, "node");
  place(process.execPath, node);
  const native = join(product, "node_modules/@typescript", `typescript-linux-${process.arch}`, "lib");
  mkdirSync(join(folder, "typescript"));
  for (const name of readdirSync(native)) place(join(native, name), join(folder, "typescript", name));
  return { node, tsc: join(folder, "typescript/tsc") };
}

/** A hard link where it can be one: both tools together have some 150 MB. */
function place(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EXDEV") throw error;
    copyFileSync(from, to);
  }
}

function launcher(program: string): string {
  return `#!/usr/bin/env node
const { spawnSync } = require("node:child_process");
process.exitCode = spawnSync(${JSON.stringify(program)}, process.argv.slice(2), { stdio: "inherit" }).status ?? 1;
`;
}

type Write = (path: string, content: string) => void;

function writeWorkspace(write: Write): void {
  const compilerOptions = {
    target: "es2022",
    lib: ["es2022", "dom"],
    module: "nodenext",
    rewriteRelativeImportExtensions: true,
    composite: true,
    rootDir: "src",
    outDir: "dist",
    tsBuildInfoFile: "dist/.tsbuildinfo",
    types: [],
  };
  write("tsconfig.base.json", "{}");
  write(
    "tsconfig.json",
    JSON.stringify({ files: [], references: [{ path: "packages/words" }, { path: "packages/node" }] }),
  );
  write("packages/words/tsconfig.json", JSON.stringify({ compilerOptions, include: ["src"] }));
  write(
    "packages/node/tsconfig.json",
    JSON.stringify({ compilerOptions, include: ["src"], references: [{ path: "../words" }] }),
  );
  write("packages/words/src/index.ts", 'export { greeting } from "greeting";\n');
  write(
    "packages/node/src/cli/main.ts",
    'import { greeting } from "@x0tta6bl4/words";\nconsole.log(greeting);\n',
  );
}

function writeManifests(
  write: Write,
  pinned: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  greeting: { readonly version: string; readonly integrity: string },
): void {
  const exports = { types: "./dist/index.d.ts", default: "./dist/index.js" };
  const own = { version: "0.1.0", type: "module" };
  const words = { name: "@x0tta6bl4/words", ...own, exports, dependencies: { greeting: greeting.version } };
  const node = {
    name: "@x0tta6bl4/node",
    ...own,
    bin: { x0: "bin/x0.mjs" },
    dependencies: { "@x0tta6bl4/words": "0.1.0" },
  };
  const [optional, required] = [true, false].map((wanted) =>
    Object.fromEntries(
      Object.entries(pinned)
        .filter(([, entry]) => (entry["optional"] === true) === wanted)
        .map(([name, entry]) => [name, entry["version"]]),
    ),
  );
  const root = {
    name: "checkout",
    version: "0.1.0",
    workspaces: ["packages/words", "packages/node"],
    dependencies: required,
    optionalDependencies: optional,
  };
  write("packages/words/package.json", JSON.stringify(words));
  write("packages/node/package.json", JSON.stringify(node));
  const { scripts } = JSON.parse(readFileSync(join(product, "package.json"), "utf8")) as { scripts: unknown };
  write("package.json", JSON.stringify({ ...root, private: true, scripts }));
  const { type: _words, exports: _exports, ...wordsEntry } = words;
  const { type: _node, ...nodeEntry } = node;
  const packages = {
    "": root,
    "node_modules/@x0tta6bl4/node": { resolved: "packages/node", link: true },
    "node_modules/@x0tta6bl4/words": { resolved: "packages/words", link: true },
    "node_modules/greeting": greeting,
    ...Object.fromEntries(Object.entries(pinned).map(([name, entry]) => [`node_modules/${name}`, entry])),
    "packages/node": nodeEntry,
    "packages/words": wordsEntry,
  };
  write(
    "package-lock.json",
    JSON.stringify(
      { name: "checkout", version: "0.1.0", lockfileVersion: 3, requires: true, packages },
      null,
      2,
    ),
  );
}
