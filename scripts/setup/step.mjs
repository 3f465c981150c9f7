import { spawnSync } from "node:child_process";

/** A failure with the next thing to do; anything else that is thrown is a defect and keeps its stack. */
export class StepError extends Error {
  /** @param {string} message @param {{hint?: string, exit?: 1 | 2, output?: string}} details */
  constructor(message, { hint, exit = 1, output = "" } = {}) {
    super(message);
    this.hint = hint;
    this.exit = exit;
    this.output = output;
  }
}

/** Runs one step and says on stderr, in one line, what it was and how long it took. */
export function step(name, work) {
  const started = process.hrtime.bigint();
  const terminal = process.stderr.isTTY === true;
  if (terminal) process.stderr.write(`${name} …`);
  let outcome = "failed";
  try {
    const value = work();
    outcome = "ok";
    return value;
  } finally {
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    const line = `${name.padEnd(24)}${outcome === "ok" ? "" : ` ${outcome}`} ${seconds.toFixed(1)} s\n`;
    process.stderr.write(terminal ? `\r\x1b[K${line}` : line);
  }
}

/** Runs a program to its end. @throws StepError with its last lines if it does not exit 0. */
export function run(command, args, { hint, ...options }) {
  const result = spawnSync(command, args, {
    encoding: "utf8",
    maxBuffer: 64 << 20,
    stdio: ["ignore", "pipe", "pipe"],
    ...options,
  });
  if (result.status === 0) return result.stdout;
  const why =
    result.error?.message ?? (result.signal ? `ended by ${result.signal}` : `exit ${result.status}`);
  const output = `${result.stdout ?? ""}${result.stderr ?? ""}`.trimEnd().split("\n").slice(-40).join("\n");
  throw new StepError(`${command.split("/").at(-1)} ${args.slice(0, 2).join(" ")}: ${why}`, { hint, output });
}

/** Runs `work`; a StepError or a failed system call (full disk, no permission) becomes one line, not a stack. */
export function main(work) {
  try {
    work();
  } catch (error) {
    if (!(error instanceof StepError) && error.syscall === undefined) throw error;
    if (error.output) process.stderr.write(`${error.output}\n`);
    process.stderr.write(`x0: ${error.message}\n`);
    if (error.hint !== undefined) process.stderr.write(`hint: ${error.hint}\n`);
    process.exitCode = error.exit ?? 1;
  }
}
