/**
 * Commands and Node scripts as child processes that are waited for by what they say, never by time.
 * A script speaks over Node's own IPC channel, which survives `nsenter` and closes when its parent dies.
 */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** Somewhere a command can run: a network namespace, a cgroup. */
export interface Place {
  /** The command that runs `command` there. */
  enter(command: readonly string[]): readonly string[];
}

/** Entered from the first to the last. */
export type Places = Place | readonly Place[];

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly places?: Places;
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** Runs a command to its end. @throws with its stderr if it cannot be started or does not exit with 0. */
export async function run(command: readonly string[], options: CommandOptions = {}): Promise<Output> {
  const child = launch(command, options, { stdio: ["pipe", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output.stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    output.stderr += text;
  });
  // A command that ends before it reads its input is judged by its exit, not by the broken pipe.
  child.stdin?.on("error", () => {}).end(options.input);
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  if (code !== 0) {
    const said = (output.stderr || output.stdout).trim().slice(0, 1000);
    throw new Error(`${command.join(" ")}: ${signal ?? `exit ${code}`}: ${said}`);
  }
  return output;
}

export interface Running extends AsyncDisposable {
  readonly pid: number;
  /** What the ready pattern matched. */
  readonly ready: RegExpExecArray;
  /** Its exit code, null if a signal ended it. */
  readonly exit: Promise<number | null>;
  /** All that it has written so far, stdout and stderr as they came. */
  output(): string;
  /** Resolves once the output matches; @throws if the process ends first. */
  waitFor(pattern: RegExp): Promise<RegExpExecArray>;
  kill(signal: NodeJS.Signals): void;
  /** Signals it if it still runs, and waits for its end and its last output. */
  stop(signal?: NodeJS.Signals): Promise<string>;
}

/** Starts a command and waits until its output matches `ready`. */
export async function start(
  command: readonly string[],
  ready: RegExp,
  options: CommandOptions = {},
): Promise<Running> {
  const child = launch(command, options, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let ended = false;
  const waiting = new Set<() => void>();
  const changed = (): void => {
    for (const check of [...waiting]) check();
  };
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      changed();
    });
  const closed = once(child, "close").finally(() => {
    ended = true;
    changed();
  });
  const exit = closed.then(([code]) => code as number | null);
  exit.catch(() => {});
  const waitFor = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const check = (): void => {
        const match = pattern.exec(output);
        if (match !== null) resolve(match);
        else if (ended) reject(new Error(`${command.join(" ")} ended without ${pattern}: ${output.trim()}`));
        else return;
        waiting.delete(check);
      };
      waiting.add(check);
      check();
    });
  const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<string> => {
    if (!ended) child.kill(signal);
    await closed;
    return output;
  };
  const kill = (signal: NodeJS.Signals): void => {
    child.kill(signal);
  };
  const dispose = async (): Promise<void> => {
    await stop("SIGKILL");
  };
  try {
    const match = await waitFor(ready);
    const pid = child.pid as number;
    return {
      pid,
      ready: match,
      exit,
      output: () => output,
      waitFor,
      kill,
      stop,
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** What a script in `children/` is given, says when ready, reports at its end, and exchanges in between. */
export interface ScriptContract {
  readonly argument: unknown;
  readonly ready: unknown;
  readonly result: unknown;
  /** From the script, unasked. */
  readonly event: unknown;
  /** To the script. */
  readonly order: unknown;
}

export type ToScript<C extends ScriptContract> =
  | { readonly kind: "start"; readonly argument: C["argument"] }
  | { readonly kind: "order"; readonly order: C["order"] }
  | { readonly kind: "finish" };
export type FromScript<C extends ScriptContract> =
  | { readonly kind: "ready"; readonly value: C["ready"] }
  | { readonly kind: "event"; readonly value: C["event"] }
  | { readonly kind: "result"; readonly value: C["result"] }
  | { readonly kind: "error"; readonly message: string };

export interface Script<C extends ScriptContract> extends AsyncDisposable {
  readonly pid: number;
  readonly ready: C["ready"];
  /** Settles when the script has reported and ended, by itself or after `finish`. */
  readonly result: Promise<C["result"]>;
  on(listener: (event: C["event"]) => void): void;
  order(order: C["order"]): void;
  /** Asks it to come to its end. */
  finish(): Promise<C["result"]>;
}

/** Starts a Node script that calls `serveScript`, and waits until it is ready. */
export async function startScript<C extends ScriptContract>(
  script: URL,
  argument: C["argument"],
  options: CommandOptions = {},
): Promise<Script<C>> {
  const command = [process.execPath, "--conditions=x0tta6bl4-source", fileURLToPath(script)];
  const child = launch(command, options, {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    serialization: "advanced",
  });
  const listeners: ((event: C["event"]) => void)[] = [];
  const ready = Promise.withResolvers<C["ready"]>();
  const report = Promise.withResolvers<C["result"]>();
  child.on("message", (message: FromScript<C>) => {
    if (message.kind === "ready") ready.resolve(message.value);
    else if (message.kind === "result") report.resolve(message.value);
    else if (message.kind === "event") for (const listener of listeners) listener(message.value);
    else report.reject(new Error(`${script.pathname}: ${message.message}`));
  });
  const closed = once(child, "close").then(
    ([code, signal]) =>
      report.reject(new Error(`${script.pathname} ended early: ${signal ?? `exit ${code}`}`)),
    (error: unknown) => report.reject(error),
  );
  report.promise.catch((error: unknown) => ready.reject(error));
  ready.promise.catch(() => {});
  const result = report.promise.finally(() => closed);
  result.catch(() => {});
  const send = (message: ToScript<C>): void => {
    // One that has ended by itself has nothing left to be told.
    if (child.connected) child.send(message, () => {});
  };
  send({ kind: "start", argument });
  const dispose = async (): Promise<void> => {
    child.kill("SIGKILL");
    await closed;
  };
  try {
    return {
      pid: child.pid as number,
      ready: await ready.promise,
      result,
      on: (listener) => {
        listeners.push(listener);
      },
      order: (order) => send({ kind: "order", order }),
      finish: () => {
        send({ kind: "finish" });
        return result;
      },
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Whether a process has that id, ours or not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** The whole command that runs `command` in its places. */
export function commandIn(command: readonly string[], { places = [] }: CommandOptions): readonly string[] {
  return ("enter" in places ? [places] : places).reduceRight((inner, place) => place.enter(inner), command);
}

/** The environment of this process with the changes that are asked for. */
export function environmentOf({ environment }: CommandOptions): NodeJS.ProcessEnv {
  return { ...process.env, ...environment };
}

function launch(command: readonly string[], options: CommandOptions, how: SpawnOptions): ChildProcess {
  const [file = "", ...rest] = commandIn(command, options);
  return spawn(file, rest, { ...how, env: environmentOf(options) });
}
