/**
 * Prometheus reads us: its `promtool` finds no fault in our text format, and a real server that scrapes a live agent
 * over loopback takes every sample and has the flows' counters under their names.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import {
  type Agent,
  isInstalled,
  missingKernel,
  type Running,
  run as runCommand,
  start,
  startAgent,
} from "../test/lab/index.ts";
import type { ConformanceResult } from "./lib/conformance.ts";

const counter = "x0tta6bl4_flows_packets_total";
const openMetrics = "application/openmetrics-text; version=1.0.0";

export async function run(): Promise<ConformanceResult> {
  for (const tool of ["promtool", "prometheus"])
    if (!(await isInstalled(tool)))
      return { outcome: "skipped", reason: `${tool} is not installed (Debian: prometheus)` };
  const lack = await missingKernel("bpf", "btf");
  if (lack !== undefined) return { outcome: "skipped", reason: lack };
  await using agent = await startAgent();
  const complaint = await lint(agent);
  if (complaint !== undefined) return { outcome: "failed", reason: complaint };
  await using prometheus = await scraping(agent);
  return await scraped(agent, prometheus);
}

async function lint(agent: Agent): Promise<string | undefined> {
  try {
    await runCommand(["promtool", "check", "metrics"], { input: await agent.text("/metrics") });
    return undefined;
  } catch (error) {
    return String(error);
  }
}

interface Prometheus extends AsyncDisposable {
  /** The result of an instant query. */
  query(expression: string): Promise<{ metric: Record<string, string>; value: [number, string] }[]>;
  /** Whether it has metadata of a metric family. */
  knows(family: string): Promise<boolean>;
  targets(): Promise<{ health: string; lastError: string }[]>;
}

/** A server with a configuration, a port and a storage of its own. */
async function scraping(agent: Agent): Promise<Prometheus> {
  const folder = await mkdtemp(join(tmpdir(), "x0-prometheus-"));
  const configuration = {
    global: { scrape_interval: "1s" },
    scrape_configs: [{ job_name: "x0", static_configs: [{ targets: [agent.url.host] }] }],
  };
  await writeFile(join(folder, "prometheus.yml"), JSON.stringify(configuration));
  let server: Running | undefined;
  const end = async (): Promise<void> => {
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    server = await start(
      [
        "prometheus",
        `--config.file=${join(folder, "prometheus.yml")}`,
        `--storage.tsdb.path=${join(folder, "data")}`,
        "--web.listen-address=127.0.0.1:0",
      ],
      /Server is ready to receive web requests/,
    );
    const address = await listening(server.pid);
    const ask = async (path: string): Promise<unknown> => {
      const answer = (await (await fetch(`http://${address}/api/v1/${path}`)).json()) as { data: unknown };
      return answer.data;
    };
    return {
      query: async (expression) =>
        ((await ask(`query?query=${encodeURIComponent(expression)}`)) as { result: never[] }).result,
      knows: async (family) => family in ((await ask(`metadata?metric=${family}`)) as object),
      targets: async () => ((await ask("targets")) as { activeTargets: never[] }).activeTargets,
      [Symbol.asyncDispose]: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Asked for port 0, it logs just that. */
async function listening(pid: number): Promise<string> {
  const { stdout } = await runCommand(["ss", "-Hltnp"]);
  const line = stdout.split("\n").find((text) => text.includes(`pid=${pid},`));
  const address = line?.trim().split(/\s+/)[3];
  if (address === undefined) throw new Error(`process ${pid} listens nowhere: ${stdout}`);
  return address;
}

async function scraped(agent: Agent, prometheus: Prometheus): Promise<ConformanceResult> {
  for (let sample: string | undefined; sample !== "1"; await setTimeout(50)) {
    const [target] = await prometheus.targets();
    if (target?.health === "down") return { outcome: "failed", reason: target.lastError };
    sample = (await prometheus.query("up"))[0]?.value[1];
  }
  const page = await agent.text("/metrics", { accept: openMetrics });
  const ours = page.match(new RegExp(`^${counter}\\{`, "gm"))?.length ?? 0;
  const theirs = await prometheus.query(counter);
  if (ours === 0 || theirs.length === 0)
    return {
      outcome: "failed",
      reason: `${counter}: we tell ${ours} series, Prometheus has ${theirs.length}`,
    };
  // A family is named without the suffix of its samples in OpenMetrics only.
  if (!(await prometheus.knows(counter.replace("_total", ""))))
    return { outcome: "failed", reason: "Prometheus did not take the OpenMetrics format" };
  const families = page.match(/^# TYPE /gm)?.length ?? 0;
  const names = await prometheus.query('count(count by (__name__) ({__name__=~"x0tta6bl4_.+"}))');
  return {
    outcome: "passed",
    reason: `${families} metrics linted, ${names[0]?.value[1]} names scraped`,
  };
}
