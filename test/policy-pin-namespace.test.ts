/** The kernel gives the inode of a network namespace again: what was pinned for the one is not for the other. */
import { existsSync } from "node:fs";
import { readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { linkInfo } from "../packages/flows/src/kernel/bpf.ts";
import { openLibc } from "../packages/flows/src/kernel/libc.ts";
import { openPinned } from "../packages/flows/src/kernel/pins.ts";
import { createNamespace, pair, requireKernel } from "./lab/index.ts";
import { deniedStream } from "./policy/denied.ts";
import { guard, toPorts } from "./policy/guarded.ts";
import { pinnedFolder } from "./policy/pinned-folder.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf", "tcx"));

test("inherits nothing, and takes away what a dead one left", { timeout: 60_000 }, async () => {
  await using net = await pair();
  let folder: string;
  {
    await using earlier = await createNamespace();
    await using guarded = await guard(earlier, 1);
    await guarded.apply(`{endpointSelector: {}, ingress: ${toPorts(8080)}}`, { pin: true });
    guarded.agent.process.kill("SIGKILL");
    await guarded.agent.process.exit;
    const [pinned = ""] = await pinnedFolder(earlier.inode)();
    folder = pinned.replace(`net-${earlier.inode}-`, `net-${net.server.inode}-`);
    await rename(pinned, folder);
    await using later = await guard(net.server, 2);
    await using stream = await deniedStream(net, net.right.ipv4, 9090);
    await stream.comesThrough();
    await later.agent.stop();
    // Its devices still tell that it lives.
    expect(existsSync(folder)).toBe(true);
  }
  // The kernel ends it aside.
  const [set = ""] = await readdir(folder);
  const libc = openLibc();
  const loopback = openPinned(libc, join(folder, set, "links", "1-egress")) as number;
  await expect.poll(() => linkInfo(libc, loopback).device, { timeout: 20_000 }).toBe(0);
  libc.close(loopback);
  await using _last = await guard(net.server, 2);
  expect(existsSync(folder)).toBe(false);
});
