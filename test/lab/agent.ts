/**
 * The product under test: the real, compiled `x0` as users run it, anywhere in the lab. An agent that runs inside a
 * namespace sees only what a test sends there, whatever else this machine does.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type IncomingMessage, type OutgoingHttpHeaders, type RequestOptions, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type CommandOptions, commandIn, environmentOf, type Running, start } from "./process.ts";

const command = fileURLToPath(new URL("../../packages/node/bin/x0.mjs", import.meta.url));

/** The conditions that the runner of the tests sets would make it run from its sources. */
const environment = { NODE_OPTIONS: "", NO_COLOR: "1" };

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `x0` to its end, however it ends. */
export async function runX0(argv: readonly string[], options: CommandOptions = {}): Promise<Outcome> {
  const [file = "", ...rest] = commandIn([process.execPath, command, ...argv], options);
  const child = spawn(file, rest, {
    env: environmentOf({ environment: { ...environment, ...options.environment } }),
    stdio: ["pipe", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output.stderr += text;
  });
  child.stdin.on("error", () => {}).end(options.input);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...output };
}

export interface AgentOptions extends CommandOptions {
  /** As of `--set`: `flows.attach=clsact`. */
  readonly settings?: readonly string[];
  /** Its data folder; default: one of its own that ends with it. */
  readonly folder?: string;
}

export interface Agent extends AsyncDisposable {
  readonly process: Running;
  readonly folder: string;
  /** Of its console, inside its namespace. */
  readonly url: URL;
  /** A body over its socket, from whatever namespace. @throws with the body unless the status is 200 */
  text(path: string, headers?: OutgoingHttpHeaders): Promise<string>;
  get<T>(path: string): Promise<T>;
  /** Likewise, with a body that becomes JSON. */
  post<T>(path: string, body: unknown): Promise<T>;
  /** Resolves once it counts on so many devices: it attaches to most of them after it is ready. */
  observes(devices: number): Promise<void>;
  /** Ends it as Ctrl-C does. @returns its exit code */
  stop(): Promise<number | null>;
}

/** `x0 up` on a free port, ready. @throws with what it said if it ends before */
export async function startAgent(options: AgentOptions = {}): Promise<Agent> {
  const { settings = [], folder = await mkdtemp(join(tmpdir(), "x0-agent-")) } = options;
  const remove = async (): Promise<void> => {
    if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
  };
  const set = ["node.listen=127.0.0.1:0", ...settings].flatMap((setting) => ["--set", setting]);
  const up = [process.execPath, command, "up", "--data-dir", folder, ...set];
  let running: Running;
  try {
    running = await start(up, /console +(http:\S+)[\s\S]*ready in/, {
      ...options,
      environment: { ...environment, ...options.environment },
    });
  } catch (error) {
    await remove();
    throw error;
  }
  const socketPath = join(folder, "x0.sock");
  const text = (path: string, headers: OutgoingHttpHeaders = {}): Promise<string> =>
    ask({ socketPath, path, headers });
  const get = async <T>(path: string): Promise<T> => JSON.parse(await text(path)) as T;
  return {
    process: running,
    folder,
    url: new URL(running.ready[1] as string),
    text,
    get,
    async post(path, body) {
      const headers = { "content-type": "application/json" };
      return JSON.parse(await ask({ socketPath, path, headers, method: "POST" }, JSON.stringify(body)));
    },
    async observes(devices) {
      const wanted = new RegExp(` on ${devices} devices?"`);
      while (!wanted.test(await text("/api/v1/health"))) await setTimeout(20);
    },
    async stop() {
      await running.stop("SIGINT");
      return running.exit;
    },
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await remove();
    },
  };
}

async function ask(options: RequestOptions, input?: string): Promise<string> {
  const call = request({ ...options, agent: false }).end(input);
  const [response] = (await once(call, "response")) as [IncomingMessage];
  let body = "";
  for await (const chunk of response.setEncoding("utf8")) body += chunk;
  if (response.statusCode !== 200) throw new Error(`${options.path}: ${response.statusCode}: ${body}`);
  return body;
}
