/**
 * What a first look at x0 costs: the time that its help takes, the time and memory of an agent, the time and size of
 * an installation. Memory is resident set size of the agent's process, workers included.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, lstatSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startAgent, userEnvironment, x0 } from "./lib/agent.ts";
import type { Bench, BenchOptions } from "./lib/bench.ts";
import { residentMb } from "./lib/cost.ts";
import { median, round } from "./lib/statistics.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Settings that turn off every part but `flows`; none: `policy`, the other one, has no such setting. */
const flowsOnly: Readonly<Record<string, string>> = {};

export const run: Bench = async (options) => {
  const all = await agentFigures(options, options.quick ? 3 : 7, {});
  const flows = Object.keys(flowsOnly).length === 0 ? all : await agentFigures(options, 1, flowsOnly);
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
      env: userEnvironment(),
    });
    if (status !== 0 || !stdout.includes("doctor")) throw new Error(`x0 --help failed: ${stderr}`);
    return performance.now() - started;
  });
  // The first one fills the page cache.
  return median(times.slice(1));
}

interface PartHealth {
  readonly name: string;
  readonly state: string;
}

interface AgentFigures {
  readonly readyMs: number;
  readonly rssMb: number;
}

async function agentFigures(
  options: BenchOptions,
  starts: number,
  settings: Readonly<Record<string, string>>,
): Promise<AgentFigures> {
  const readyMs: number[] = [];
  for (let index = 0; index < starts - 1; index++) {
    await using agent = await startAgent(settings);
    readyMs.push(agent.readyMs);
  }
  await using agent = await startAgent(settings);
  readyMs.push(agent.readyMs);
  // Interfaces are attached and caches fill after the agent is ready.
  await sleep(options.quick ? 2000 : 10_000);
  const rssMb = residentMb(agent.pid);
  const { parts } = await agent.get<{ readonly parts: readonly PartHealth[] }>("/api/v1/health");
  options.note(`parts: ${parts.map(({ name, state }) => `${name} ${state}`).join(", ")}`);
  const failed = parts.find(({ state }) => state === "failed");
  if (failed !== undefined) throw new Error(`the part ${failed.name} failed`);
  return { readyMs: median(readyMs), rssMb };
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
