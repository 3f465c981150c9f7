import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { beforeEach, expect, test } from "vitest";
import { createNamespace } from "./namespace.ts";
import { isAlive, run, start } from "./process.ts";
import { requireKernel } from "./requirements.ts";

beforeEach((context) => requireKernel(context, "netns"));

test("a namespace is its own, with lo up, and is gone when disposed", async () => {
  let path: string;
  {
    await using namespace = await createNamespace();
    path = namespace.path;
    const [own] = await namespace.links();
    expect(await namespace.links()).toHaveLength(1);
    expect(own).toMatchObject({ name: "lo", index: 1, received: { packets: 0 } });
    expect(await namespace.addresses("lo")).toEqual(["127.0.0.1", "::1"]);
    const { stdout } = await run(["readlink", "/proc/self/ns/net"], { places: [namespace] });
    expect(stdout.trim()).toBe(`net:[${namespace.inode}]`);
    await namespace.sysctl({ "net.ipv4.ip_forward": 1 });
    expect(await namespace.exec(["sysctl", "-n", "net.ipv4.ip_forward"])).toBe("1\n");
  }
  expect(existsSync(path)).toBe(false);
});

test("a failing body and a process that still runs do not keep a namespace", async () => {
  let path = "";
  let pid = 0;
  const body = async (): Promise<void> => {
    await using namespace = await createNamespace();
    path = namespace.path;
    const sleeper = await start(["sh", "-c", "echo ready; exec sleep 1000"], /ready/, {
      places: [namespace],
    });
    pid = sleeper.pid;
    throw new Error("the test failed");
  };
  await expect(body()).rejects.toThrow("the test failed");
  expect(existsSync(path)).toBe(false);
  // Killed, and reaped by its parent, this process.
  while (isAlive(pid)) await new Promise((resolve) => setImmediate(resolve));
});

test("namespaces made at once have names of their own", async () => {
  await using made = new AsyncDisposableStack();
  const names = await Promise.all(
    Array.from({ length: 4 }, async () => made.use(await createNamespace()).name),
  );
  expect(new Set(names).size).toBe(4);
});

test("what a dead process left is swept with its processes, what a living one has stays", async () => {
  const dead = spawn("true");
  await once(dead, "exit");
  const left = `x0lab-${dead.pid}-1`;
  const living = `x0lab-${process.ppid}-9`;
  for (const name of [left, living]) await run(["ip", "netns", "add", name]);
  try {
    const enter = (command: readonly string[]): readonly string[] => [
      "nsenter",
      `--net=/run/netns/${left}`,
      ...command,
    ];
    const orphan = await start(["sh", "-c", "echo ready; exec sleep 1000"], /ready/, { places: [{ enter }] });
    await using _ = await createNamespace();
    await expect(orphan.stop("SIGCONT")).resolves.toContain("ready");
    expect(existsSync(`/run/netns/${left}`)).toBe(false);
    expect(existsSync(`/run/netns/${living}`)).toBe(true);
  } finally {
    await run(["ip", "netns", "delete", living]);
  }
});

test("the cgroup mounts stay visible inside", async () => {
  await using namespace = await createNamespace();
  const count = (text: string): number =>
    text.split("\n").filter((line) => line.includes(" - cgroup")).length;
  const outside = (await run(["cat", "/proc/self/mountinfo"])).stdout;
  expect(count(await namespace.exec(["cat", "/proc/self/mountinfo"]))).toBe(count(outside));
});
