import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { cgroupRoot } from "../../kernel/cgroups.ts";
import { runningOwners } from "./running.ts";

test("services and containers with processes, not sessions and not what is empty", () => {
  const root = mkdtempSync(join(tmpdir(), "x0-cgroups-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const id = "0123456789abcdef".repeat(4);
  const cgroup = (path: string, populated: number): void => {
    mkdirSync(join(root, path), { recursive: true });
    writeFileSync(join(root, path, "cgroup.events"), `populated ${populated}\nfrozen 0\n`);
  };
  cgroup("system.slice/nginx.service", 1);
  cgroup("system.slice/nginx.service/workers", 1);
  cgroup("system.slice/idle.service", 0);
  cgroup("user.slice/user-0.slice/session-3.scope", 1);
  cgroup(`system.slice/docker-${id}.scope`, 1);
  const byName = (a: { unit: string | null }, b: { unit: string | null }): number =>
    (a.unit ?? "").localeCompare(b.unit ?? "");
  expect(runningOwners(root).toSorted(byName)).toEqual([
    { unit: null, container: id },
    { unit: "nginx.service", container: null },
  ]);
});

test("of this machine's own cgroups, and of a host without any", () => {
  expect(Array.isArray(runningOwners(cgroupRoot()))).toBe(true);
  expect(runningOwners("/nowhere")).toEqual([]);
});
