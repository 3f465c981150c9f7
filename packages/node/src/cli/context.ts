import type { AgentClient, CliContext, PartDefinition } from "@x0tta6bl4/core";
import {
  type Environment,
  findPlaces,
  type GlobalFlags,
  type Places,
  systemDataDirectory,
} from "../config/places.ts";
import { dataFolder } from "../folder.ts";
import { loadParts, type PartEntry } from "../parts.ts";

/** What the node's own commands use beyond what a part's command may. */
export interface NodeContext extends CliContext {
  readonly flags: GlobalFlags;
  readonly places: Places;
  loadParts(): Promise<readonly PartDefinition[]>;
}

export interface ContextOptions {
  readonly stdin: CliContext["stdin"];
  readonly stdout: CliContext["stdout"];
  readonly stderr: CliContext["stderr"];
  readonly env: Environment;
  readonly flags: GlobalFlags;
  readonly signal: AbortSignal;
  readonly parts: readonly PartEntry[];
}

export function nodeContext(options: ContextOptions): NodeContext {
  const { stdin, stdout, stderr, env, flags, signal } = options;
  const places = findPlaces(flags, env);
  const load = () => loadParts(options.parts);
  return {
    process: { stdout, stderr },
    stdin,
    stdout,
    stderr,
    env,
    flags,
    places,
    signal,
    color: stdout.isTTY === true && !env["NO_COLOR"] && env["TERM"] !== "dumb",
    agent: lazyClient(socketsOf(places)),
    dataDirectory: places.dataDirectory.path,
    async section(name) {
      const [{ loadConfig }, { sectionsOf }] = await Promise.all([
        import("../config/load.ts"),
        import("../config/sections.ts"),
      ]);
      return loadConfig({ sections: sectionsOf(await load()), places, env, flags }).section(name);
    },
    loadParts: load,
  };
}

/** Members of the group x0 reach the system's agent without naming its folder, unless one of their own runs. */
function socketsOf({ dataDirectory }: Places): string[] {
  const own = dataFolder(dataDirectory.path).socket;
  return dataDirectory.origin === "default"
    ? [...new Set([own, dataFolder(systemDataDirectory).socket])]
    : [own];
}

/** Most commands never speak to an agent: node:http is loaded by the first that does. */
function lazyClient(sockets: readonly string[]): AgentClient {
  const client = async () => (await import("./client.ts")).agentClient(sockets);
  return {
    get: async (path, query) => (await client()).get(path, query),
    post: async (path, body) => (await client()).post(path, body),
    async *stream(path, query, signal) {
      yield* (await client()).stream(path, query, signal);
    },
    async *bytes(path, query, signal) {
      yield* (await client()).bytes(path, query, signal);
    },
  };
}
