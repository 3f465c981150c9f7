import { mkdirSync, rmdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { createCgroup, requireKernel } from "../../../../../test/lab/index.ts";
import { mapAccess } from "../../kernel/bpf.ts";
import { openLibc } from "../../kernel/libc.ts";
import { createMap } from "../../kernel/map.ts";
import { openMembership } from "./membership.ts";

const HASH = 1;
const PEER_ONLY = 0x8000_0000;

beforeEach((context) => requireKernel(context, "bpf", "cgroup2"));

test("a cgroup that came since the last look stays, one that went does not", async () => {
  await using slice = createCgroup();
  const libc = openLibc();
  const mapOf = (name: string, keyBytes: number): number =>
    createMap(libc, { type: HASH, name, keyBytes, valueBytes: 4, maxEntries: 64, flags: 0 });
  const maps = { workloads: mapOf("workloads", 8), workload_paths: mapOf("paths", 256) };
  const membership = openMembership(libc, maps, slice.path);
  const access = mapAccess(libc);
  const key = libc.allocate(8);
  const value = libc.allocate(4);
  const told = (cgroup: number): number | undefined => {
    key.view.setBigUint64(0, BigInt(cgroup), true);
    return access.lookup(maps.workloads, key, value) < 0 ? undefined : value.view.getUint32(0, true);
  };
  const [web, peer] = ["web.service", "peer.service"].map((name) => join(slice.path, name)) as [
    string,
    string,
  ];
  const start = (folder: string): number => {
    mkdirSync(folder);
    return statSync(folder).ino;
  };
  const [first, other] = [start(web), start(peer)];
  const looked = [
    { endpoint: 1, path: "/web.service", cgroup: first, isJudged: true },
    { endpoint: 2, path: "/peer.service", cgroup: other, isJudged: false },
  ];
  membership.write(looked);
  expect([told(first), told(other)]).toEqual([1, 2 + PEER_ONLY]);

  rmdirSync(web);
  const second = start(web);
  // As the program at cgroup_mkdir does.
  key.view.setBigUint64(0, BigInt(second), true);
  value.view.setUint32(0, 1, true);
  expect(access.update(maps.workloads, key, value)).toBe(0);
  membership.write(looked);
  expect(told(second)).toBe(1);

  membership.write([{ ...looked[0], endpoint: 1, path: "/web.service", cgroup: second, isJudged: true }]);
  expect([told(first), told(second), told(other)]).toEqual([undefined, 1, undefined]);
  for (const folder of [web, peer]) rmdirSync(folder);
  membership.close();
  for (const memory of [key, value]) memory.free();
  for (const map of Object.values(maps)) libc.close(map);
});
