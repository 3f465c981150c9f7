import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

test("a later signal ends a command that does not end by itself, and only once it was interrupted", async () => {
  const script = fileURLToPath(new URL("../testing/stuck.ts", import.meta.url));
  const child = spawn(process.execPath, ["--conditions=x0tta6bl4-source", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  await once(child.stdout, "data");
  const exited = once(child, "exit");
  for (let alive = true; alive; ) {
    child.kill("SIGINT");
    alive = await Promise.race([exited.then(() => false), setTimeout(50, true)]);
  }
  expect(await exited).toEqual([130, null]);
  expect(output).toBe("ready\ninterrupted\n");
});
