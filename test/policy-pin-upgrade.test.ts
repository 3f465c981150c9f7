/** An upgrade whose maps are laid out otherwise: both versions judge until the new one alone does. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { openSockets, pair, requireKernel } from "./lab/index.ts";
import { deniedStream } from "./policy/denied.ts";
import { guard } from "./policy/guarded.ts";
import { otherPrograms } from "./policy/other-programs.ts";
import { pinnedFolder } from "./policy/pinned-folder.ts";

const DENIED = 9090;

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf", "mount", "tcx"));

test("no denied packet passes, and what was allowed goes on", { timeout: 180_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "x0-upgrade-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await using net = await pair();
  await using edge = await openSockets(net.server);
  await using near = await openSockets(net.client);
  const host = net.right.ipv4;
  const pins = pinnedFolder(net.server.inode);
  const pinnedSets = async (): Promise<string[]> =>
    (await Promise.all((await pins()).map((folder) => readdir(folder)))).flat();
  const asked = await near.listen("udp", net.left.ipv4, 7000);
  const asking = await edge.dial("udp", { host: net.left.ipv4, port: 7000 });
  const listener = await edge.listen("tcp", host, 8080);
  await using older = await guard([net.server, await otherPrograms(folder, "larger")], 2, { folder });
  await older.apply(
    '{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "8080", protocol: TCP}]}]}], egress: [{toPorts: [{ports: [{port: "7000", protocol: UDP}]}]}]}',
    { pin: true },
  );
  await using denied = await deniedStream(net, host, DENIED);
  const dialled = await near.dial("tcp", { host, port: 8080 });
  asking.say("begin");
  await asked.hears("begin");
  // Who was asked speaks first: only what is remembered tells that it was.
  const connectionGoesOn = async (word: string): Promise<void> => {
    listener.say(word);
    await dialled.hears(word);
    dialled.say(word);
    await listener.hears(word);
  };
  const goesOn = async (word: string): Promise<void> => {
    asked.say(word);
    await asking.hears(word);
    await connectionGoesOn(word);
  };
  await goesOn("older");
  const left = await pinnedSets();

  older.agent.process.kill("SIGKILL");
  await older.agent.process.exit;
  await goesOn("alone");
  await using newer = await guard(net.server, 2, { folder });
  await goesOn("newer");
  const ours = await pinnedSets();
  expect([left.length, ours.length]).toEqual([1, 1]);
  expect(ours).not.toEqual(left);
  expect(denied.heard()).toBe(false);

  newer.agent.process.kill("SIGKILL");
  await newer.agent.process.exit;
  await goesOn("alone again");
  await using last = await guard([net.server, await otherPrograms(folder, "untold")], 2, { folder });
  // Of TCP the sockets tell who was asked.
  await connectionGoesOn("last");
  expect(await pinnedSets()).not.toEqual(ours);
  last.agent.process.kill("SIGKILL");
  await last.agent.process.exit;
  await using shipped = await guard(net.server, 2, { folder });
  await connectionGoesOn("shipped");
  expect(await pinnedSets()).toEqual(ours);
  expect(denied.heard()).toBe(false);
  await shipped.lift();
  await denied.comesThrough();
  expect(await pinnedSets()).toEqual([]);
});
