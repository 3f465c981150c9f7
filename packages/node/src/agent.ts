/**
 * The agent: locks the data folder, opens its doors, starts the parts in order, and ends all of it in reverse.
 */
import { hostname } from "node:os";
import { setTimeout } from "node:timers/promises";
import {
  type Clock,
  coreFail,
  createServices,
  type Log,
  messageOf,
  type PartDefinition,
  type Route,
  systemClock,
} from "@x0tta6bl4/core";
import { createRegistry } from "@x0tta6bl4/telemetry";
import { parseListen } from "./config/listen.ts";
import type { Config } from "./config/load.ts";
import { createDataFolder, type DataFolder, ensureToken } from "./folder.ts";
import { type AgentHealth, agentHealthSchema, healthOf, type NamedPart, overallState } from "./health.ts";
import { consoleFilesIn } from "./http/console.ts";
import { type Phase, startHttp } from "./http/server.ts";
import { openRuns, type Run } from "./runs.ts";
import { measureSelf } from "./self-metrics.ts";

export interface AgentOptions {
  readonly parts: readonly PartDefinition[];
  readonly config: Config;
  readonly dataDirectory: string;
  readonly version: string;
  readonly log: Log;
  /** Folder of the console's built files. */
  readonly consoleFiles: URL;
  readonly clock?: Clock;
  /** What each part may take to stop. */
  readonly stopDeadlineMs?: number;
}

export interface Agent {
  readonly folder: DataFolder;
  /** Of the console, without the token. */
  readonly url: string;
  readonly token: string;
  /** The run before this one, if it ended without a word. */
  readonly unclean: Run | undefined;
  health(): AgentHealth;
  /** What the parts have to tell a few seconds after the start. */
  banner(): Promise<readonly string[]>;
  /** Ends within the deadlines of its parts; what failed is in the log. Idempotent. */
  stop(): Promise<void>;
}

/**
 * @param signal ends the start, and what has already started, when it aborts.
 * @throws X0_NODE_ALREADY_RUNNING, X0_NODE_PORT_IN_USE, X0_NODE_DATA_FOLDER, X0_NODE_SOCKET, X0_CORE_DISK_FULL
 * and the other errors of core's database, what a part throws, and the signal's reason
 */
export async function startAgent(options: AgentOptions, signal: AbortSignal): Promise<Agent> {
  const { config, version, log, clock = systemClock, stopDeadlineMs = 5000 } = options;
  let phase: Phase = "starting";
  await using started = new AsyncDisposableStack();

  const folder = createDataFolder(options.dataDirectory);
  const runs = openRuns(folder, version, clock);
  started.defer(() => quietly(log, "could not write the end of this run", async () => runs.close()));
  const token = ensureToken(folder);

  const registry = createRegistry();
  const services = createServices();
  const parts = options.parts.map((definition): NamedPart => {
    const context = {
      config: config.section(definition.name),
      dataDirectory: folder.path,
      clock,
      metrics: registry,
      services,
    };
    return { name: definition.name, part: definition.create({ ...context, log: log.for(definition.name) }) };
  });
  started.defer(measureSelf(registry, version, () => healthOf(parts)));

  const health = (): AgentHealth => ({
    state: phase === "running" ? overallState(parts.map(({ part }) => part.health())) : phase,
    version,
    host: hostname(),
    pid: process.pid,
    start: new Date(performance.timeOrigin).toISOString(),
    parts: healthOf(parts),
  });
  // Loading it takes as long as the first part's start, which is not to wait for it.
  const opening = startHttp({
    listen: parseListen(config.node.listen),
    folder,
    token,
    version,
    registry,
    routes: parts.flatMap(({ part }) => part.routes ?? []),
    ownRoutes: [healthRoute(health)],
    console: consoleFilesIn(options.consoleFiles),
    log: log.for("http"),
    phase: () => phase,
    notReady: () => (phase === "running" ? failedParts(parts) : phase),
  });
  const opened = opening.then(
    (server) => server,
    () => undefined,
  );
  started.defer(() => quietly(log, "could not close the server", async () => (await opened)?.close()));

  for (const named of parts) {
    signal.throwIfAborted();
    started.defer(() => stopPart(named, log, stopDeadlineMs));
    await named.part.start(signal);
  }
  const http = await opening;
  for (const { part } of parts) {
    signal.throwIfAborted();
    await part.complete?.(signal);
  }
  signal.throwIfAborted();
  phase = "running";

  const running = started.move();
  const { host, port } = http.address;
  return {
    folder,
    url: `http://${host.includes(":") ? `[${host}]` : host}:${port}`,
    token,
    unclean: runs.unclean,
    health,
    async banner() {
      const lines: string[] = [];
      for (const { part } of parts)
        await quietly(log, "a part has no first sight", async () => {
          lines.push(...((await part.banner?.()) ?? []));
        });
      return lines;
    },
    async stop() {
      phase = "stopping";
      http.drain();
      await running.disposeAsync();
    },
  };
}

function healthRoute(health: () => AgentHealth): Route {
  return {
    kind: "json",
    method: "GET",
    path: "/api/v1/health",
    summary: "The state of the agent, its parts and their features, with what is off and why.",
    response: agentHealthSchema,
    handle: async () => health(),
  };
}

function failedParts(parts: readonly NamedPart[]): string | undefined {
  const failed = parts.filter(({ part }) => part.health().state === "failed");
  return failed.length === 0 ? undefined : `failed: ${failed.map(({ name }) => name).join(", ")}`;
}

/** A part that hangs or fails must not keep the others from stopping. */
async function stopPart({ name, part }: NamedPart, log: Log, deadlineMs: number): Promise<void> {
  const over = new AbortController();
  const late = async (): Promise<never> => {
    await setTimeout(deadlineMs, undefined, { signal: over.signal });
    throw coreFail("X0_CORE_STOP_TIMEOUT", `${name} did not stop within ${deadlineMs} ms`);
  };
  await quietly(log, "part did not stop in good order", async () => {
    try {
      await Promise.race([part.stop(deadlineMs), late()]);
    } finally {
      over.abort();
    }
  });
}

async function quietly(log: Log, message: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    log.error(message, { reason: messageOf(error) });
  }
}
