/**
 * Compiles the packages and bundles the console, when a source differs from what was built last: path, size
 * and time of every file of the packages. Plain JavaScript, so that setup can call it under Node 20.
 */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { workspacesOf } from "./setup/install.mjs";
import { lock } from "./setup/lock.mjs";
import { becomeOwner } from "./setup/owner.mjs";
import { main, run, StepError, step } from "./setup/step.mjs";

const stampOf = (root) => join(root, ".cache", "build");

/** Whether every package is built from the sources as they are now. A few milliseconds. */
export function isBuilt(root) {
  const stamp = stampOf(root);
  return (
    existsSync(stamp) &&
    workspacesOf(root).every((workspace) => existsSync(join(root, workspace, "dist"))) &&
    readFileSync(stamp, "utf8") === fingerprint(root)
  );
}

/** Builds all packages; call with the lock held. @throws StepError with the compiler's messages */
export function build(root) {
  const compiler = "node_modules/typescript/bin/tsc";
  if (!existsSync(join(root, compiler)))
    throw new StepError("the packages that the build needs are not installed", { hint: "npm ci" });
  // Taken before, so that a source which changes meanwhile is built again next time.
  const sources = fingerprint(root);
  const bundled = join(root, "node_modules", ".bin", "node");
  const node = existsSync(bundled) ? bundled : process.execPath;
  const script = (path, ...args) => run(node, [join(root, path), ...args], { cwd: root });
  script(compiler, "-b");
  for (const workspace of workspacesOf(root)) removeOrphans(join(root, workspace));
  const bundler = "packages/console/build.mjs";
  if (existsSync(join(root, bundler))) script(bundler);
  mkdirSync(dirname(stampOf(root)), { recursive: true });
  writeFileSync(stampOf(root), sources);
}

/** tsc never removes what it made of a source that is gone; it would be packed. Bundles have no declarations. */
function removeOrphans(folder) {
  const dist = join(folder, "dist");
  for (const file of filesOf(dist)) {
    const stem = /^(.*)\.d\.ts$/.exec(file)?.[1];
    if (stem === undefined) continue;
    const source = join(folder, "src", stem.slice(dist.length));
    if ([".ts", ".tsx"].some((extension) => existsSync(source + extension))) continue;
    for (const extension of [".d.ts", ".d.ts.map", ".js", ".js.map"])
      rmSync(stem + extension, { force: true });
  }
}

function fingerprint(root) {
  const hash = createHash("sha256");
  const inputs = workspacesOf(root).flatMap((workspace) => filesOf(join(root, workspace)));
  for (const name of ["package-lock.json", "tsconfig.json", "tsconfig.base.json"])
    inputs.push(join(root, name));
  for (const file of inputs) {
    if (file.endsWith(".test.ts") || !existsSync(file)) continue;
    const { size, mtimeMs } = statSync(file);
    hash.update(`${file.slice(root.length)}\0${size}\0${mtimeMs}\n`);
  }
  return hash.digest("hex");
}

/** All files below a folder except what is made or installed there, in a fixed order. */
function filesOf(folder) {
  if (!existsSync(folder)) return [];
  const files = [];
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (!entry.isDirectory()) files.push(path);
    else if (entry.name !== "node_modules" && entry.name !== "dist") files.push(...filesOf(path));
  }
  return files;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const root = fileURLToPath(new URL("..", import.meta.url));
  main(() => {
    becomeOwner(root);
    lock(root);
    if (!isBuilt(root)) step("build", () => build(root));
  });
}
