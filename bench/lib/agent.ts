import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseExposition } from "../../packages/telemetry/src/testing/exposition.ts";
import { commandIn, type Places } from "../../test/lab/process.ts";

/** The command as users run it: compiled, in a process of its own. */
export const x0 = fileURLToPath(new URL("../../packages/node/bin/x0.mjs", import.meta.url));

export interface Agent extends AsyncDisposable {
  /** From the start of the process to the first 200 of `/readyz`. */
  readonly readyMs: number;
  readonly pid: number;
  /** Resolves once it counts on so many devices: it attaches to most of them after it is ready. */
  observes(devices: number): Promise<void>;
  /** @throws Error with the last that it said if it has ended */
  assertRunning(): void;
  /** A JSON answer over the agent's socket. */
  get<T>(path: string): Promise<T>;
  /** The sum of a family's samples whose labels are among these; 0 where there is none. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  /** Ends it with SIGTERM. @returns its exit code */
  stop(): Promise<number | null>;
}

/** A user's environment: no settings of ours, nothing of the runner's. */
export function userEnvironment(settings: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(X0_|NODE_OPTIONS$|npm_)/.test(name));
  return { ...Object.fromEntries(inherited), ...settings };
}

/**
 * `x0 up` in the default configuration but for its data folder (its own) and its port (a free one); resolves when it
 * is ready, which is asked every 2 ms.
 *
 * @param places where it runs, a namespace for one.
 * @throws Error with what the agent said if it ends or is not ready within 30 s
 */
export async function startAgent(
  settings: Readonly<Record<string, string>> = {},
  places: Places = [],
): Promise<Agent> {
  const data = mkdtempSync(join(tmpdir(), "x0-agent-"));
  const socketPath = join(data, "x0.sock");
  const started = performance.now();
  // By its shebang, as users do, with this Node first on the path.
  const [file = "", ...rest] = commandIn([x0, "up"], { places });
  const child = spawn(file, rest, {
    env: userEnvironment({
      PATH: `${dirname(process.execPath)}:${process.env["PATH"]}`,
      X0_DATA_DIR: data,
      X0_NODE_LISTEN: "127.0.0.1:0",
      ...settings,
    }),
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-4000);
  });
  const running = (): boolean => child.exitCode === null && child.signalCode === null;
  const stop = async (): Promise<number | null> => {
    if (running()) {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    }
    rmSync(data, { recursive: true, force: true });
    return child.exitCode;
  };
  while ((await answer(socketPath, "/readyz")).status !== 200) {
    if (!running() || performance.now() - started > 30_000) {
      await stop();
      throw new Error(`x0 up did not become ready: ${said}`);
    }
    await sleep(2);
  }
  const readyMs = performance.now() - started;
  const text = async (path: string): Promise<string> => {
    const { status, body } = await answer(socketPath, path);
    if (status !== 200) throw new Error(`${path} answered ${status}: ${body}`);
    return body;
  };
  return {
    readyMs,
    pid: child.pid as number,
    async observes(devices) {
      const wanted = new RegExp(` on ${devices} devices?"`);
      while (!wanted.test(await text("/api/v1/health"))) await sleep(20);
    },
    assertRunning() {
      if (!running()) throw new Error(`x0 up ended with ${child.exitCode ?? child.signalCode}: ${said}`);
    },
    get: async <T>(path: string) => JSON.parse(await text(path)) as T,
    async metric(name, labels = {}) {
      const samples = parseExposition(await text("/metrics"), "text").get(name)?.samples ?? [];
      return samples
        .filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
        .reduce((sum, { value }) => sum + value, 0);
    },
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

function answer(
  socketPath: string,
  path: string,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve) => {
    const request = get({ socketPath, path, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
    request.on("error", (error) => resolve({ status: 0, body: error.message }));
  });
}
