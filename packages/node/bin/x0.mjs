#!/usr/bin/env -S MALLOC_MMAP_THRESHOLD_=131072 node --max-semi-space-size=2
/**
 * The `x0` command. Plain JavaScript that also older Nodes can read, so that they get a sentence and not a stack.
 * The small nursery (MiB) saves 7 MB of the agent's memory, which hardly makes short-lived objects. The threshold keeps
 * glibc from putting large buffers of short life into its heaps, which then never shrink.
 * In a checkout it first builds what is missing or changed; an installed package has no sources and skips that.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

if (Number.parseInt(process.versions.node, 10) < 24) {
  process.stderr.write(
    `x0: needs Node 24 or newer, this is ${process.versions.node} (${process.execPath})\n`,
  );
  process.stderr.write(
    "hint: in a checkout use `npx --no-install x0`, which brings its own; else install Node 24\n",
  );
  process.exit(2);
}

const builder = new URL("../../../scripts/build.mjs", import.meta.url);
if (existsSync(new URL("../src", import.meta.url)) && existsSync(builder)) {
  const { isBuilt } = await import(builder.href);
  if (!isBuilt(fileURLToPath(new URL("..", builder)))) {
    const { status } = spawnSync(process.execPath, [fileURLToPath(builder)], { stdio: ["ignore", 2, 2] });
    if (status !== 0) process.exit(1);
  }
}

await import("../dist/cli/main.js");
