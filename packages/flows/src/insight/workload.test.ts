import { readFileSync } from "node:fs";
import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { workloadOf } from "./workload.ts";

const id = "3f1d".repeat(16);
const pod = "pod8dbc0a4e_2f9e_4b8f_9d0c_1c1f2d3e4f5a";

test.each<[string, string, string | null, string | null]>([
  ["the root", "/", null, null],
  ["init", "/init.scope", "init.scope", null],
  ["a service", "/system.slice/nginx.service", "nginx.service", null],
  ["a service with a cgroup of its own inside", "/system.slice/foo.service/worker", "foo.service", null],
  ["an instance", "/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", null],
  ["an escaped name", "/system.slice/a\\x2db.service", "a-b.service", null],
  [
    "a user's service",
    "/user.slice/user-1000.slice/user@1000.service/app.slice/syncthing.service",
    "syncthing.service",
    null,
  ],
  ["a session", "/user.slice/user-1000.slice/session-3.scope", "session-3.scope", null],
  ["Docker by systemd", `/system.slice/docker-${id}.scope`, null, id],
  ["Docker by itself", `/docker/${id}`, null, id],
  ["Docker, with init inside", `/docker/${id}/init.scope`, "init.scope", id],
  ["Docker of older layouts", `/system.slice/docker.service/docker/${id}`, "docker.service", id],
  ["Podman", `/machine.slice/libpod-${id}.scope/container`, null, id],
  ["Podman's monitor", `/machine.slice/libpod-conmon-${id}.scope`, `libpod-conmon-${id}.scope`, null],
  ["Podman as a unit", `/system.slice/web.service/libpod-payload-${id}`, "web.service", id],
  [
    "Podman of a user",
    `/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${id}.scope`,
    "user@1000.service",
    id,
  ],
  [
    "containerd",
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-${pod}.slice/cri-containerd-${id}.scope`,
    null,
    id,
  ],
  ["containerd without systemd", `/kubepods/burstable/${pod}/${id}`, null, id],
  [
    "containerd with the driver's colons",
    `/system.slice/containerd.service/kubepods-burstable-${pod}.slice:cri-containerd:${id}`,
    "containerd.service",
    id,
  ],
  [
    "CRI-O",
    `/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-${pod}.slice/crio-${id}.scope`,
    null,
    id,
  ],
  ["CRI-O's monitor", `/system.slice/crio-conmon-${id}.scope`, `crio-conmon-${id}.scope`, null],
  ["LXC", "/lxc/web1", null, "web1"],
  ["LXC, newer", "/lxc.payload.web1/system.slice/nginx.service", "nginx.service", "web1"],
  ["LXC's monitor", "/lxc.monitor.web1", null, null],
  ["Proxmox", "/lxc/101/ns/system.slice/nginx.service", "nginx.service", "101"],
  [
    "a machine",
    "/machine.slice/machine-web\\x2d1.scope/payload/system.slice/nginx.service",
    "nginx.service",
    "web-1",
  ],
  ["nspawn", "/machine.slice/systemd-nspawn@web1.service/payload", "systemd-nspawn@web1.service", "web1"],
  ["outside of our namespace", "/../../system.slice/cron.service", "cron.service", null],
  ["a cgroup that is gone", "/system.slice/cron.service (deleted)", "cron.service", null],
  ["hostile names", "/system.slice/\x1b[2J\x00\u202e.service", "\\027[2J\\000\\8238.service", null],
  ["escaped control characters", "/system.slice/a\\x1bb.service", "a\\027b.service", null],
  ["63 digits", `/docker/${id.slice(1)}`, null, null],
])("%s", (_, path, unit, container) => expect(workloadOf(path)).toEqual({ unit, container }));

test("the paths of this machine's processes", () => {
  const path = readFileSync("/proc/self/cgroup", "utf8").trim().split("::")[1] ?? "/";
  const { unit } = workloadOf(path);
  expect(unit === null || path.includes(unit)).toBe(true);
});

test("fuzzing: 100,000 paths of pieces", () => {
  const random = seededRandom(7);
  const pieces = [
    "/",
    "a",
    ".service",
    ".scope",
    "machine-",
    "lxc",
    "/lxc/",
    "docker-",
    id,
    "\\x2d",
    "\\x00",
    "\n",
    "\u{1f4a3}",
    "-conmon-",
  ];
  for (let round = 0; round < 100_000; round++) {
    const path = Array.from({ length: random.below(12) }, () => pieces[random.below(pieces.length)]).join("");
    for (const text of Object.values(workloadOf(path)))
      if (text !== null && !/^[\x20-\x7e]*$/.test(text)) expect.fail(JSON.stringify([path, text]));
  }
  expect(workloadOf("/a".repeat(1e6))).toEqual({ unit: null, container: null });
});
