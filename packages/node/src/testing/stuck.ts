import { onInterrupt } from "../cli/interrupt.ts";

// A command that ignores its signal: only force ends it.
const { signal } = onInterrupt(() => process.exit(130));
signal.addEventListener("abort", () => process.stdout.write("interrupted\n"));
setInterval(() => undefined, 1000);
process.stdout.write("ready\n");
