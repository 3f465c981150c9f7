import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { consoleFiles } from "@x0tta6bl4/console";
import { compactHeapSoon, createLog, type Log, printable } from "@x0tta6bl4/core";
import { type Agent, startAgent } from "../agent.ts";
import { loadConfig } from "../config/load.ts";
import { sectionsOf } from "../config/sections.ts";
import { readVersion } from "../version.ts";
import type { NodeContext } from "./context.ts";
import { type Style, style } from "./style.ts";

/** What a newcomer waits for a first sight of the traffic. */
const bannerDelayMs = 3000;

export async function up(this: NodeContext): Promise<void> {
  const parts = await this.loadParts();
  const config = loadConfig({ ...this, sections: sectionsOf(parts) });
  const { log_level: level, log_format: format } = config.node;
  const log = createLog({ level, format, write: (line) => this.stderr.write(line) });
  const version = readVersion();
  const dataDirectory = this.places.dataDirectory.path;
  let agent: Agent;
  try {
    agent = await startAgent({ parts, config, dataDirectory, version, log, consoleFiles }, this.signal);
  } catch (error) {
    if (this.signal.aborted) return;
    throw error;
  }
  try {
    warnOfUncleanEnd(agent, log);
    const look = style(this.color);
    this.stdout.write(startBanner(agent, look, Math.round(performance.now())));
    await firstSight(agent, this, look);
    compactHeapSoon();
    if (!this.signal.aborted) await once(this.signal, "abort");
  } finally {
    await agent.stop();
  }
}

function warnOfUncleanEnd({ unclean }: Agent, log: Log): void {
  if (unclean === undefined) return;
  const start = new Date(unclean.startMs).toISOString();
  const cause = unclean.beforeReboot ? "the machine restarted" : "the agent was killed or crashed";
  log.warn("the last run did not end in good order", { start, version: unclean.version, cause });
}

function startBanner(agent: Agent, look: Style, readyMs: number): string {
  const { version, host, parts } = agent.health();
  const lines = [
    "",
    `  ${look.bold(`x0tta6bl4 ${version}`)} on ${host}`,
    "",
    `  console  ${agent.url}/?token=${agent.token}`,
    `  data     ${agent.folder.path}`,
    "",
  ];
  for (const { name, state, features } of parts) {
    if (features.length === 0) lines.push(`  ${look.state(state, state.padEnd(8))} ${name}`);
    for (const feature of features) {
      const said = feature.reason ?? feature.detail;
      const reason = said === undefined ? "" : `: ${printable(said)}`;
      lines.push(`  ${look.state(feature.state, feature.state.padEnd(8))} ${name}: ${feature.name}${reason}`);
      if (feature.hint !== undefined) lines.push(`           ${look.dim(feature.hint)}`);
    }
  }
  lines.push("", `  ready in ${readyMs} ms, Ctrl-C ends it`, "");
  return `${lines.join("\n")}\n`;
}

async function firstSight(agent: Agent, { stdout, signal }: NodeContext, look: Style): Promise<void> {
  await setTimeout(bannerDelayMs, undefined, { signal }).catch(() => undefined);
  if (signal.aborted) return;
  const lines = await agent.banner();
  if (lines.length > 0)
    stdout.write(`${lines.map((line, index) => `  ${index === 0 ? look.bold(line) : line}`).join("\n")}\n\n`);
}
