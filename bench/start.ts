/**
 * What a first look at x0 costs: the time that its help takes, the time and memory of an agent, the time and size of
 * an installation. Memory is resident set size of the agent's process, workers included.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Bench, BenchOptions } from "./lib/bench.ts";
import { median, round } from "./lib/statistics.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const x0 = join(root, "packages/node/bin/x0.mjs");

/** Settings that turn off every part but `flows`; none yet, as it is the only one. */
const flowsOnly: Readonly<Record<string, string>> = {};

export const run: Bench = async (options) => {
  const starts = options.quick ? 3 : 7;
  const settleMs = options.quick ? 2000 : 10_000;
  const all = await agentFigures(starts, settleMs, {});
  const flows = Object.keys(flowsOnly).length === 0 ? all : await agentFigures(1, settleMs, flowsOnly);
  return {
    help_ms: round(helpMs()),
    ready_ms: round(all.readyMs),
    rss_mb: round(flows.rssMb),
    rss_all_mb: round(all.rssMb),
    ...installFigures(options),
  };
};

/** From the start of Node 24 to the end of `x0 --help`, built. */
function helpMs(): number {
  const times = Array.from({ length: 12 }, () => {
    const started = performance.now();
    const { status, stdout, stderr } = spawnSync(process.execPath, [x0, "--help"], {
      encoding: "utf8",
      env: environment({}),
    });
    if (status !== 0 || !stdout.includes("doctor")) throw new Error(`x0 --help failed: ${stderr}`);
    return performance.now() - started;
  });
  // The first one fills the page cache.
  return median(times.slice(1));
}

interface AgentFigures {
  readonly readyMs: number;
  readonly rssMb: number;
}

async function agentFigures(
  starts: number,
  settleMs: number,
  settings: Readonly<Record<string, string>>,
): Promise<AgentFigures> {
  const readyMs: number[] = [];
  let rssMb = 0;
  for (let index = 0; index < starts; index++) {
    const data = mkdtempSync(join(tmpdir(), "x0-bench-start-"));
    const started = performance.now();
    const agent = spawn(process.execPath, [x0, "up"], {
      env: environment({ ...settings, X0_DATA_DIR: data, X0_NODE_LISTEN: "127.0.0.1:0" }),
      stdio: ["ignore", "ignore", "pipe"],
    });
    const said = collect(agent);
    try {
      await ready(join(data, "x0.sock"), agent);
      readyMs.push(performance.now() - started);
      if (index === starts - 1) {
        await sleep(settleMs);
        rssMb = residentMb(agent.pid);
      }
    } catch (error) {
      throw new Error(`x0 up did not become ready: ${said()}`, { cause: error });
    } finally {
      if (agent.exitCode === null && agent.signalCode === null) {
        agent.kill("SIGTERM");
        await once(agent, "exit");
      }
      rmSync(data, { recursive: true, force: true });
    }
  }
  return { readyMs: median(readyMs), rssMb };
}

/** A user's environment: no settings of ours, nothing of the runner's. */
function environment(settings: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(X0_|NODE_OPTIONS$|npm_)/.test(name));
  return { ...Object.fromEntries(inherited), ...settings };
}

function collect(agent: ChildProcess): () => string {
  let text = "";
  agent.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    text = (text + chunk).slice(-4000);
  });
  return () => text;
}

/** Asks over the agent's socket every 2 ms: that much the figure may be too high. */
async function ready(socketPath: string, agent: ChildProcess): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (performance.now() < deadline) {
    if (agent.exitCode !== null) throw new Error(`exit ${agent.exitCode}`);
    if ((await statusOf(socketPath)) === 200) return;
    await sleep(2);
  }
  throw new Error("not ready after 30 s");
}

function statusOf(socketPath: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const request = get({ socketPath, path: "/readyz", agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on("error", () => resolve(undefined));
  });
}

function residentMb(pid: number | undefined): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return (Number(match?.[1]) * 1024) / 1e6;
}

/** `npm ci` of this checkout's manifests in an empty folder, with the caches that npm has; null where it cannot fetch. */
function installFigures(options: BenchOptions): { install_s: number | null; install_mb: number | null } {
  const none = { install_s: null, install_mb: null };
  if (options.quick) return none;
  const folder = mkdtempSync(join(tmpdir(), "x0-bench-install-"));
  try {
    const files = execFileSync("git", ["-c", "safe.directory=*", "ls-files", "-z"], {
      cwd: root,
      encoding: "utf8",
    });
    for (const file of files.split("\0").filter((name) => name !== ""))
      cpSync(join(root, file), join(folder, file));
    const started = performance.now();
    const { status, stderr } = spawnSync("npm", ["ci", "--loglevel=error"], {
      cwd: folder,
      encoding: "utf8",
    });
    if (status !== 0) {
      options.note(`install: npm ci failed: ${stderr.trim().split("\n")[0]}`);
      return none;
    }
    return {
      install_s: round((performance.now() - started) / 1000, 3),
      install_mb: round(sizeOf(join(folder, "node_modules")) / 1e6, 3),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function sizeOf(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + lstatSync(join(entry.parentPath, entry.name)).size, 0);
}
