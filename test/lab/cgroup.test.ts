import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { beforeEach, expect, test } from "vitest";
import { createCgroup, findCgroup2 } from "./cgroup.ts";
import { createNamespace } from "./namespace.ts";
import { run, start } from "./process.ts";
import { requireKernel } from "./requirements.ts";

beforeEach((context) => requireKernel(context, "cgroup2"));

test("a command runs in the cgroup, inside a namespace too", async (context) => {
  await requireKernel(context, "netns");
  await using cgroup = createCgroup();
  await using namespace = await createNamespace();
  for (const places of [[cgroup], [namespace, cgroup], [cgroup, namespace]])
    expect((await run(["cat", "/proc/self/cgroup"], { places })).stdout).toContain(`0::${cgroup.name}\n`);
  expect(cgroup.id).toBe(BigInt(statSync(cgroup.path).ino));
});

test("disposing kills what still runs there", async () => {
  let path: string;
  let output: Promise<string>;
  {
    await using cgroup = createCgroup();
    path = cgroup.path;
    const sleeper = await start(["sh", "-c", "echo ready; exec sleep 1000"], /ready/, { places: [cgroup] });
    output = sleeper.stop("SIGCONT");
  }
  expect(existsSync(path)).toBe(false);
  expect(await output).toBe("ready\n");
});

test("a dead process's cgroup is swept", async () => {
  const dead = spawn("true");
  await once(dead, "exit");
  const left = `${findCgroup2()}/x0lab-${dead.pid}-1`;
  mkdirSync(left);
  await using _ = createCgroup();
  expect(existsSync(left)).toBe(false);
});
