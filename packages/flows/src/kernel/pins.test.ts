import { mkdtemp, rm, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { createNamespace, requireKernel, run } from "../../../../test/lab/index.ts";
import { loaderObject, verdictOf } from "../testing/loader-object.ts";
import { attachType, createLink, programInfo, tcxPrograms, updateLink } from "./bpf.ts";
import { openLibc } from "./libc.ts";
import { loadObject } from "./load.ts";
import { mapInfo } from "./map.ts";
import { openNamespace } from "./namespaces.ts";
import { openPinned, pin } from "./pins.ts";

const libc = openLibc();
let folder: string;

beforeEach(async (context) => {
  await requireKernel(context, "bpf", "btf", "mount", "netns", "tcx");
  folder = await mkdtemp(join(tmpdir(), "x0-pins-"));
  await run(["mount", "-t", "bpf", "none", folder]);
  return async () => {
    await run(["umount", folder]);
    await rm(folder, { recursive: true });
  };
});

test("a pinned map goes on counting in the next load", async () => {
  const path = join(folder, "runs");
  expect(openPinned(libc, path)).toBeUndefined();
  const first = loadObject(libc, loaderObject());
  expect(verdictOf(libc, first.programs.x0_count)).toBe(1);
  pin(libc, first.maps.runs, path);
  expect(() => pin(libc, first.maps.runs, path)).toThrow(/pinning .*runs failed: EEXIST/);
  first.close();

  const runs = openPinned(libc, path) as number;
  const next = loadObject(libc, loaderObject(), { maps: { runs } });
  expect(verdictOf(libc, next.programs.x0_count)).toBe(2);
  next.close();
  expect(mapInfo(libc, runs)).toMatchObject({ name: "runs", valueBytes: 8 });
  libc.close(runs);
  await unlink(path);
  expect(openPinned(libc, path)).toBeUndefined();
});

test("a pinned link outlives its process's descriptors and takes another program", async () => {
  await using host = await createNamespace();
  const LOOPBACK = 1;
  const path = join(folder, "link");
  const inside = openNamespace(libc, host.path);
  const attached = (): readonly number[] | undefined =>
    inside.run(() => tcxPrograms(libc, LOOPBACK, attachType.tcxIngress));
  const loaded = loadObject(libc, loaderObject());
  const [few, many] = [loaded.programs.x0_few, loaded.programs.x0_many];
  const ids = [few, many].map((program) => programInfo(libc, program).id);
  const link = inside.run(() => createLink(libc, few, LOOPBACK, attachType.tcxIngress));
  pin(libc, link, path);
  libc.close(link);
  expect(attached()).toEqual([ids[0]]);

  const opened = openPinned(libc, path) as number;
  expect(updateLink(libc, opened, many, many)).toBe(-1);
  expect(attached()).toEqual([ids[0]]);
  expect(updateLink(libc, opened, many, few)).toBe(0);
  expect(attached()).toEqual([ids[1]]);
  expect(updateLink(libc, opened, few)).toBe(0);
  expect(attached()).toEqual([ids[0]]);
  libc.close(opened);
  loaded.close();
  expect(attached()).toEqual([ids[0]]);
  await unlink(path);
  // The kernel lets go of it aside.
  await expect.poll(attached).toEqual([]);
  inside.close();
});
