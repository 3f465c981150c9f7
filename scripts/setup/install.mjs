/**
 * Installs what package-lock.json names without ever losing a working installation. `npm ci` empties
 * node_modules before it fetches, so it runs in a staging folder that holds only the manifests; its result is
 * then moved into place. Links to workspaces are relative and of the same depth there, so they stay right.
 *
 *     .cache/install-XXXXXX  staging        .cache/previous  what is being replaced
 *
 * While `.cache/previous` exists a replacement is unfinished; `recover` undoes it. Renaming it away commits.
 */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { run, StepError } from "./step.mjs";

const oldest = 24;
const stampOf = (root) => join(root, "node_modules", ".x0-setup");
const cacheOf = (root) => join(root, ".cache");

/** Whether node_modules is what package-lock.json names, on this platform. Reads two small files. */
export function isInstalled(root) {
  return existsSync(stampOf(root)) && readFileSync(stampOf(root), "utf8") === fingerprint(root);
}

/** Replaces node_modules; call with the lock held. @throws StepError; what was installed before then still stands. */
export function install(root) {
  replace(root, stage(root));
}

/** Sees that commands will run on Node 24 or newer, then stamps the installation as complete. @throws StepError, exit 2 */
export function checkNode(root) {
  const bundled = join(root, "node_modules", ".bin", "node");
  let why = "this system's Node is too old, and none could be installed for it";
  if (existsSync(bundled)) {
    const result = spawnSync(bundled, ["-p", "process.versions.node"], { encoding: "utf8" });
    if (result.status === 0 && Number.parseInt(result.stdout, 10) >= oldest) return stamp(root);
    // It comes first on npm's PATH: left there, the next `npm start` could not even say what is wrong.
    unlinkSync(bundled);
    why = "the installed Node does not run here (musl, an old glibc, another processor?)";
  }
  if (Number.parseInt(process.versions.node, 10) >= oldest) return stamp(root);
  throw new StepError(`x0 needs Node ${oldest} or newer and found ${process.versions.node}: ${why}`, {
    hint: `install Node ${oldest} from your distribution or nodejs.org, then run the same command again`,
    exit: 2,
  });
}

function stamp(root) {
  writeFileSync(stampOf(root), fingerprint(root));
}

function fingerprint(root) {
  const lockfile = readFileSync(join(root, "package-lock.json"));
  return createHash("sha256").update(lockfile).update(`${process.platform}-${process.arch}`).digest("hex");
}

/** Whether npm's own record of what it installed, perhaps by hand (`npm ci`), is what the lockfile names. */
export function matchesLockfile(root) {
  const record = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(record)) return false;
  const wanted = packagesOf(join(root, "package-lock.json"));
  const present = packagesOf(record);
  delete wanted[""];
  const needed =
    Number.parseInt(process.versions.node, 10) >= oldest ? "" : `node_modules/node-linux-${process.arch}`;
  return (
    Object.keys(present).every((path) => path in wanted) &&
    Object.entries(wanted).every(([path, entry]) =>
      path in present
        ? identityOf(present[path]) === identityOf(entry)
        : entry.optional === true && path !== needed,
    )
  );
}

/** What decides about the files of a package and the commands linked to it. */
const identityOf = ({ version, integrity, link, bin }) => JSON.stringify([version, integrity, link, bin]);

const packagesOf = (lockfile) => JSON.parse(readFileSync(lockfile, "utf8")).packages ?? {};

/** Workspaces, as the root manifest lists them (no patterns). */
export function workspacesOf(root) {
  return JSON.parse(readFileSync(join(root, "package.json"), "utf8")).workspaces ?? [];
}

function stage(root) {
  const cache = cacheOf(root);
  mkdirSync(cache, { recursive: true });
  for (const name of readdirSync(cache)) if (name.startsWith("install-")) remove(join(cache, name));
  const staging = mkdtempSync(join(cache, "install-"));
  const copy = (path) => {
    mkdirSync(dirname(join(staging, path)), { recursive: true });
    copyFileSync(join(root, path), join(staging, path));
  };
  copy("package.json");
  copy("package-lock.json");
  if (existsSync(join(root, ".npmrc"))) copy(".npmrc");
  for (const workspace of workspacesOf(root)) {
    copy(join(workspace, "package.json"));
    // npm links only commands that exist.
    const { bin = {} } = JSON.parse(readFileSync(join(root, workspace, "package.json"), "utf8"));
    for (const path of Object.values(bin)) copy(join(workspace, path));
  }
  const fetch = (preference) =>
    npm(["ci", preference, "--loglevel=error", "--fetch-retries=1", "--fetch-retry-mintimeout=500"], {
      cwd: staging,
      env: { ...process.env, INIT_CWD: staging },
      hint: existsSync(join(root, "node_modules"))
        ? "what was installed before is untouched: `npx --no-install x0 up` runs with it; check the network and try again"
        : "check the network and `npm config get registry`, then try again",
    });
  try {
    try {
      fetch("--prefer-offline");
    } catch (error) {
      // npm's cached list of versions may be older than the lockfile, even a minute after the last install.
      if (!error.output?.includes("ETARGET")) throw error;
      fetch("--prefer-online");
    }
  } catch (error) {
    remove(staging);
    throw error;
  }
  return staging;
}

/** The npm that runs us, else the one on PATH. */
function npm(args, options) {
  const script = process.env.npm_execpath ?? "";
  if (/npm-cli\.c?js$/.test(script)) run(process.execPath, [script, ...args], options);
  else run("npm", args, options);
}

const placesOf = (root) => ["", ...workspacesOf(root)].map((folder) => join(folder, "node_modules"));

function replace(root, staging) {
  const previous = join(cacheOf(root), "previous");
  try {
    for (const place of placesOf(root)) {
      const [here, aside, next] = [root, previous, staging].map((folder) => join(folder, place));
      mkdirSync(dirname(aside), { recursive: true });
      // An empty folder stands for "there was none", so that `recover` removes what came instead.
      if (existsSync(here)) renameSync(here, aside);
      else mkdirSync(aside);
      if (existsSync(next)) renameSync(next, here);
    }
  } catch (error) {
    recover(root);
    remove(staging);
    throw new StepError(`node_modules cannot be replaced: ${error.message}`, {
      hint: "if it is a mount, run `npm ci` yourself; what is there then will be accepted",
    });
  }
  renameSync(previous, join(staging, "previous"));
  remove(staging);
}

/** Undoes a replacement that was killed half-way. */
export function recover(root) {
  const previous = join(cacheOf(root), "previous");
  if (!existsSync(previous)) return;
  for (const place of placesOf(root)) {
    const aside = join(previous, place);
    if (!existsSync(aside)) continue;
    rmSync(join(root, place), { recursive: true, force: true });
    renameSync(aside, join(root, place));
  }
  remove(previous);
}

/** What cannot be removed (files of another user, npm still writing after it was killed) waits for the next time. */
function remove(folder) {
  try {
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  } catch {
    process.stderr.write(`left behind: ${folder}\n`);
  }
}
