/** Where nothing can be pinned, apply says so, and what held before holds: in the store and in the kernel. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { pair, requireKernel } from "./lab/index.ts";
import { deniedStream } from "./policy/denied.ts";
import { type Guarded, guard, toPorts } from "./policy/guarded.ts";
import { inOwnMounts } from "./policy/other-programs.ts";
import { pinnedFolder } from "./policy/pinned-folder.ts";
import { witness } from "./policy/witness.ts";

const DENIED = 9090;
const before = `{endpointSelector: {}, ingress: ${toPorts(8080)}}`;
const after = `{endpointSelector: {}, ingress: ${toPorts(DENIED)}}`;

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf", "mount", "tcx"));

/** When what is stored was applied. */
async function applied(guarded: Guarded): Promise<string | undefined> {
  const list = await guarded.agent.get<{ documents: readonly { applied: string }[] }>("/api/v1/policy");
  return list.documents[0]?.applied;
}

async function isRefused(guarded: Guarded, reason: RegExp): Promise<void> {
  const stored = await applied(guarded);
  const refused = guarded.apply(after, { pin: true });
  await expect(refused).rejects.toThrow(/X0_FLOWS_POLICY_PINNED/);
  await expect(refused).rejects.toThrow(reason);
  expect(await applied(guarded)).toBe(stored);
}

test("a BPF file system that is missing, is read-only or takes no more, and devices without tcx", {
  timeout: 180_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), "x0-refused-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await using net = await pair();
  const pins = pinnedFolder(net.server.inode);
  const passed = await witness(net.server, `udp dport ${DENIED}`);
  await using denied = await deniedStream(net, net.right.ipv4, DENIED);
  await denied.comesThrough();
  {
    await using guarded = await guard([net.server, inOwnMounts("umount /sys/fs/bpf")], 2, { folder });
    await guarded.apply(before);
    const heard = await passed.seen();
    await isRefused(guarded, /no BPF file system is on \/sys\/fs\/bpf/);
    expect(await passed.seen()).toBe(heard);
  }
  {
    const readOnly = inOwnMounts("mount -o remount,bind,ro /sys/fs/bpf");
    await using guarded = await guard([net.server, readOnly], 2, { folder });
    const heard = await passed.seen();
    await isRefused(guarded, /EROFS/);
    expect(await passed.seen()).toBe(heard);
  }
  {
    await using guarded = await guard(net.server, 2, { folder, settings: ["flows.attach=clsact"] });
    const heard = await passed.seen();
    await isRefused(guarded, /it takes tcx, and flows.attach is .*clsact/);
    expect(await passed.seen()).toBe(heard);
  }
  await using guarded = await guard(net.server, 2, { folder });
  const heard = await passed.seen();
  await guarded.apply(before, { pin: true });
  const [own = ""] = await pins();
  const [set = ""] = await readdir(own);
  await guarded.apply(before);
  expect(existsSync(own)).toBe(false);
  // In the middle of the maps.
  await mkdir(join(own, set, "admitted"), { recursive: true });
  await isRefused(guarded, /nothing can be pinned in .*EISDIR|EPERM/);
  expect(await pins()).toEqual([]);
  expect(await passed.seen()).toBe(heard);
  await guarded.apply(after, { pin: true });
  await denied.comesThrough();
  expect(await pins()).toEqual([own]);
  await guarded.lift();
});
