/** Filters of clsact outlive their agent: a policy must not stay with them for ever. */
import { beforeEach, expect, test } from "vitest";
import { openSockets, pair, requireKernel, runX0 } from "./lab/index.ts";
import { guard, toPorts } from "./policy/guarded.ts";

const ALLOWED = 7000;
const DENIED = 7001;

beforeEach((context) => requireKernel(context, "netns", "bpf", "btf"));

test("reset lets in again what filters of an agent that was killed deny", async () => {
  await using net = await pair();
  await using edge = await openSockets(net.server);
  await using near = await openSockets(net.client);
  await using guarded = await guard(net.server, 2, { settings: ["flows.attach=clsact"] });
  const { folder, process } = guarded.agent;
  await guarded.apply(`{endpointSelector: {}, ingress: ${toPorts(ALLOWED)}}`);
  const host = net.right.ipv4;
  const denied = await edge.listen("udp", host, DENIED);
  const allowed = await edge.listen("udp", host, ALLOWED);
  const say = async (words: string): Promise<void> => {
    for (const port of [DENIED, ALLOWED]) (await near.dial("udp", { host, port })).say(words);
    await allowed.hears(words);
  };
  await say("judged");
  process.kill("SIGKILL");
  await process.exit;
  await say("left behind");
  expect(denied.heard()).toBe("");
  const reset = await runX0(["policy", "reset", "--yes", "--data-dir", folder], { places: net.server });
  expect(reset).toMatchObject({ code: 0 });
  await say("let in");
  await denied.hears("let in");
  expect(await net.server.exec(["tc", "qdisc", "show", "dev", net.right.name])).not.toContain("clsact");
});
