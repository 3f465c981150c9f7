/** `x0 doctor`: the node's own checks, then each part's. Nothing here changes the machine. */

import { once } from "node:events";
import { accessSync, constants, existsSync, statfsSync } from "node:fs";
import { createServer } from "node:net";
import { dirname } from "node:path";
import {
  type DoctorEntry,
  formatBytes,
  jsonLine,
  messageOf,
  type PartDefinition,
  X0Error,
} from "@x0tta6bl4/core";
import { parseListen } from "../config/listen.ts";
import { type Config, loadConfig } from "../config/load.ts";
import { sectionsOf } from "../config/sections.ts";
import { nodeFail } from "../errors.ts";
import type { AgentHealth } from "../health.ts";
import type { Output } from "./commands.ts";
import type { NodeContext } from "./context.ts";
import { type Style, style } from "./style.ts";

interface Finding extends DoctorEntry {
  readonly part: string;
}

/** Below this a day of history may not fit. */
const littleSpaceBytes = 64 * 1024 * 1024;

const stateOf = { works: "on", warning: "degraded", off: "off", refused: "failed" } as const;

export async function doctor(this: NodeContext, flags: { output: Output }): Promise<Error | undefined> {
  const parts = await this.loadParts();
  const look = style(this.color);
  const findings: Finding[] = [];
  const report = (part: string, entry: DoctorEntry): void => {
    findings.push({ part, ...entry });
    if (flags.output === "table") this.stdout.write(line(part, entry, look));
  };
  for await (const entry of nodeChecks(this, parts)) report("node", entry);
  const refused = findings.filter(({ outcome }) => outcome === "refused");
  const config = configOf(this, parts);
  for (const part of parts)
    for await (const entry of part.doctor?.(config?.section(part.name) ?? part.config.parse({})) ?? [])
      report(part.name, entry);
  if (flags.output === "json")
    this.stdout.write(jsonLine({ canStart: refused.length === 0, entries: findings }));
  if (refused[0] === undefined) return undefined;
  return nodeFail("X0_NODE_DOCTOR", `x0 up cannot start: ${refused[0].subject}: ${refused[0].detail}`, {
    hint: refused[0].hint,
  });
}

function line(part: string, { subject, outcome, detail, hint }: DoctorEntry, look: Style): string {
  const head = `${look.state(stateOf[outcome], outcome.padEnd(7))}  ${`${part}: ${subject}`.padEnd(34)}  ${detail}\n`;
  return hint === undefined ? head : `${head}         ${look.dim(hint)}\n`;
}

async function* nodeChecks(
  context: NodeContext,
  parts: readonly PartDefinition[],
): AsyncGenerator<DoctorEntry> {
  yield { subject: "Node.js", outcome: "works", detail: `${process.versions.node} at ${process.execPath}` };
  yield checkConfig(context, parts);
  yield checkDataFolder(context.places.dataDirectory.path);
  const health = await runningAgent(context);
  yield "pid" in health
    ? {
        subject: "agent",
        outcome: "works",
        detail: `${health.version} runs as process ${health.pid}, ${health.state}`,
      }
    : health;
  const listen = configOf(context, parts)?.node.listen;
  if (listen !== undefined && !("pid" in health)) yield await checkPort(listen);
}

function configOf(context: NodeContext, parts: readonly PartDefinition[]): Config | undefined {
  try {
    return loadConfig({ ...context, sections: sectionsOf(parts) });
  } catch {
    // `checkConfig` says it.
    return undefined;
  }
}

function checkConfig(context: NodeContext, parts: readonly PartDefinition[]): DoctorEntry {
  const subject = "configuration";
  try {
    const { file, settings } = loadConfig({ ...context, sections: sectionsOf(parts) });
    const changed = settings.filter(({ origin }) => origin !== "default").length;
    const place = file ?? `no file at ${context.places.configFile.path}`;
    return {
      subject,
      outcome: "works",
      detail: `${place}; ${changed} of ${settings.length} settings changed`,
    };
  } catch (error) {
    if (!(error instanceof X0Error)) throw error;
    return refusal(subject, error);
  }
}

function checkDataFolder(path: string): DoctorEntry {
  const subject = "data folder";
  let existing = path;
  while (!existsSync(existing)) existing = dirname(existing);
  try {
    accessSync(existing, constants.W_OK | constants.X_OK);
    const { bavail, bsize } = statfsSync(existing);
    const free = `${path}, ${formatBytes(bavail * bsize)} free`;
    if (bavail * bsize < littleSpaceBytes)
      return {
        subject,
        outcome: "warning",
        detail: free,
        hint: "free space, or use another folder (--data-dir)",
      };
    return { subject, outcome: "works", detail: existing === path ? free : `${free}; will be created` };
  } catch (error) {
    const hint = "run as its owner, or use another folder (--data-dir)";
    return { subject, outcome: "refused", detail: messageOf(error), hint };
  }
}

async function runningAgent({ agent }: NodeContext): Promise<AgentHealth | DoctorEntry> {
  const subject = "agent";
  try {
    return (await agent.get("/api/v1/health")) as AgentHealth;
  } catch (error) {
    if (!(error instanceof X0Error)) throw error;
    const { message: detail, hint, code } = error;
    const outcome = code === "X0_NODE_NO_AGENT" ? "off" : "warning";
    return { subject, outcome, detail, ...(hint === undefined ? {} : { hint }) };
  }
}

async function checkPort(listen: string): Promise<DoctorEntry> {
  const subject = "port";
  const server = createServer();
  try {
    server.listen(parseListen(listen));
    await once(server, "listening");
    return { subject, outcome: "works", detail: `${listen} is free` };
  } catch (error) {
    const hint = "stop what listens there, or choose another: --set node.listen=127.0.0.1:PORT";
    return { subject, outcome: "refused", detail: `${listen}: ${messageOf(error)}`, hint };
  } finally {
    server.close();
  }
}

function refusal(subject: string, { message: detail, hint }: X0Error): DoctorEntry {
  return { subject, outcome: "refused", detail, ...(hint === undefined ? {} : { hint }) };
}
