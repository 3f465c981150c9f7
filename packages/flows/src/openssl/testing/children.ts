/** Processes with OpenSSL in them, for the tests of probes. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

export interface Server extends AsyncDisposable {
  readonly pid: number;
  readonly port: number;
}

export interface Client extends AsyncDisposable {
  readonly pid: number;
  /** A line for a line. */
  ask(line: string): Promise<string>;
}

/** testing/server.ts, by a name of at most 15 characters. */
export async function startServer(name: string): Promise<Server> {
  const script = new URL("server.ts", import.meta.url).pathname;
  const { child, nextLine } = startChild(process.execPath, ["--conditions=x0tta6bl4-source", script, name]);
  const port = Number(await nextLine());
  return { pid: child.pid as number, port, [Symbol.asyncDispose]: () => ended(child) };
}

/** A shell of this name, which waits. */
export async function startShell(name: string): Promise<AsyncDisposable> {
  const script = `echo "$0" > /proc/$$/comm; echo ready; read line`;
  const { child, nextLine } = startChild("sh", ["-c", script, name]);
  await nextLine();
  return { [Symbol.asyncDispose]: () => ended(child) };
}

/** testing/client.py. @param libraries folder whose libraries it loads before the system's. */
export async function startClient(name: string, libraries?: string): Promise<Client> {
  const script = new URL("client.py", import.meta.url).pathname;
  const environment = libraries === undefined ? {} : { LD_LIBRARY_PATH: libraries };
  const { child, nextLine } = startChild("python3", [script, name], environment);
  await nextLine();
  return {
    pid: child.pid as number,
    ask(line) {
      child.stdin?.write(`${line}\n`);
      return nextLine();
    },
    [Symbol.asyncDispose]: () => ended(child),
  };
}

function startChild(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
) {
  const child = spawn(command, args, {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...environment },
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const nextLine = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`${command} ended`);
    return value;
  };
  return { child, nextLine };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}
