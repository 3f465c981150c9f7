/** A host administered over TCP: runs each line that comes over a connection, and answers with what it said. */
import { fileURLToPath } from "node:url";
import { type Places, type Running, start } from "../lab/index.ts";

export interface ShellOptions {
  readonly port: number;
  /** Whether what it runs is told the connection, as by sshd(8). */
  readonly tells: boolean;
}

/** The answer to a line ends with `exit CODE`. `x0` is the command under test. */
export function remoteShell(places: Places, { port, tells }: ShellOptions): Promise<Running> {
  const script = `const { spawn } = require("node:child_process");
require("node:net").createServer((socket) => {
  const tuple = [socket.remoteAddress, socket.remotePort, socket.localAddress, socket.localPort].join(" ");
  const env = { ...process.env, NODE_OPTIONS: "", ...(${tells} ? { SSH_CONNECTION: tuple.replaceAll("::ffff:", "") } : {}) };
  socket.on("error", () => {}).setEncoding("utf8").on("data", (line) => {
    const child = spawn("sh", ["-c", line], { env, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => socket.write(text));
    child.on("close", (code) => socket.write("exit " + code + "\\n"));
  });
}).listen(${port}, "::", () => console.log("listening"));`;
  return start([process.execPath, "-e", script], /listening/, { places });
}

const command = fileURLToPath(new URL("../../packages/node/bin/x0.mjs", import.meta.url));

/** A line for the shell: `x0 policy …`. */
export function policyLine(folder: string, ...words: readonly string[]): string {
  return [process.execPath, command, "policy", ...words, "--data-dir", folder].join(" ");
}
