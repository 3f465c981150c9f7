import { parts } from "../parts.ts";
import { runCli } from "./application.ts";
import { complaintOf } from "./complaint.ts";
import { onInterrupt } from "./interrupt.ts";

const interruptedExit = 130;
const interrupt = onInterrupt(() => process.exit(interruptedExit));

// `x0 flows observe | head`: the reader has what it wanted, so nothing failed.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  interrupt.readerGone();
});
process.stderr.on("error", () => undefined);

process.on("uncaughtException", (error) => {
  process.stderr.write(`${complaintOf(error, Boolean(process.env["X0_DEBUG"]))}\n`);
  process.exit(1);
});

const code = await runCli({
  argv: process.argv.slice(2),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signal: interrupt.signal,
  parts,
});
process.exitCode = interrupt.interrupted ? interruptedExit : code;
// Everything has been closed; should a handle have been forgotten, it must not keep the process.
setTimeout(() => process.exit(), 1000).unref();
