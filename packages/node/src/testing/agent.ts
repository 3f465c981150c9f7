import { mkdtempSync, rmSync } from "node:fs";
import { type IncomingMessage, type OutgoingHttpHeaders, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLog } from "@x0tta6bl4/core";
// biome-ignore lint/correctness/noUndeclaredDependencies: used by tests only, and vitest is the workspace's
import { onTestFinished } from "vitest";
import { type Agent, type AgentOptions, startAgent } from "../agent.ts";
import { loadConfig } from "../config/load.ts";
import { findPlaces } from "../config/places.ts";
import { sectionsOf } from "../config/sections.ts";

/** A folder that the test's end removes. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "x0-node-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface TestAgent {
  readonly agent: Agent;
  readonly port: number;
  readonly log: string[];
}

/** A real agent on a free port of loopback, stopped by the test's end. */
export async function startTestAgent(
  options: Partial<AgentOptions> & { listen?: string } = {},
): Promise<TestAgent> {
  const log: string[] = [];
  const parts = options.parts ?? [];
  const dataDirectory = options.dataDirectory ?? temporaryFolder();
  const agent = await startAgent(
    {
      dataDirectory,
      parts,
      config: testConfig(dataDirectory, parts, options.listen),
      version: "1.2.3",
      log: createLog({ level: "debug", format: "text", write: (line) => log.push(line) }),
      consoleFiles: new URL(`file://${dataDirectory}/site/`),
      ...options,
    },
    AbortSignal.any([]),
  );
  onTestFinished(() => agent.stop());
  return { agent, port: Number(new URL(agent.url).port), log };
}

export function testConfig(folder: string, parts: AgentOptions["parts"], listen = "127.0.0.1:0") {
  const env = { HOME: folder, X0_CONFIG: undefined };
  const flags = { set: [`node.listen=${listen}`], dataDirectory: folder };
  const places = {
    ...findPlaces(flags, env),
    configFile: { path: join(folder, "x0.toml"), origin: "default", required: false },
  };
  return loadConfig({ sections: sectionsOf(parts), places, env, flags });
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** One HTTP request with exactly these headers; `target` is a port of loopback or the path of a Unix socket. */
export async function ask(
  target: number | string,
  path: string,
  headers: OutgoingHttpHeaders = {},
  method = "GET",
): Promise<Answer> {
  const response = await openRequest(target, path, headers, method);
  let body = "";
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode ?? 0, headers: response.headers, body };
}

export function openRequest(
  target: number | string,
  path: string,
  headers: OutgoingHttpHeaders = {},
  method = "GET",
): Promise<IncomingMessage> {
  const place = typeof target === "number" ? { host: "127.0.0.1", port: target } : { socketPath: target };
  return new Promise((resolve, reject) => {
    request({ ...place, path, method, headers, agent: false }, resolve)
      .on("error", reject)
      .end();
  });
}
