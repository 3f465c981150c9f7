/** At a device above others a pinned policy outlives its agent too: what its programs jump to stays. */
import { setTimeout } from "node:timers/promises";
import { beforeEach, expect, test } from "vitest";
import { bridge, createNamespace, openSockets, requireKernel } from "./lab/index.ts";
import { guard, toPorts } from "./policy/guarded.ts";
import { pinnedFolder } from "./policy/pinned-folder.ts";

const ALLOWED = 7000;
const DENIED = 7001;
const ROUNDS = 30;
const PAUSE_MS = 50;

beforeEach((context) => requireKernel(context, "netns", "bpf", "btf", "tcx", "bridge"));

test("a bridge is judged after its agent was killed", async () => {
  await using edge = await createNamespace();
  await using near = await createNamespace();
  const { own } = await bridge(edge, [near]);
  await using onEdge = await openSockets(edge);
  await using onNear = await openSockets(near);
  await using guarded = await guard(edge, 2);
  await guarded.apply(`{endpointSelector: {}, ingress: ${toPorts(ALLOWED)}}`, { pin: true });
  const [denied, allowed] = await Promise.all(
    [DENIED, ALLOWED].map(async (port) => ({
      listener: await onEdge.listen("udp", own.ipv4, port),
      client: await onNear.dial("udp", { host: own.ipv4, port }),
    })),
  );
  const isHeard = async (word: string): Promise<boolean> => {
    denied?.client.say(word);
    // It comes behind the other one, by the same devices.
    allowed?.client.say(word);
    await allowed?.listener.hears(word);
    return denied?.listener.heard() !== "";
  };
  expect(await isHeard("judged")).toBe(false);
  guarded.agent.process.kill("SIGKILL");
  await guarded.agent.process.exit;
  // The kernel empties a table that nobody holds any more a while after its last holder is gone.
  for (let round = 0; round < ROUNDS; round++) {
    expect(await isHeard(`round ${round} `)).toBe(false);
    await setTimeout(PAUSE_MS);
  }
  expect(await pinnedFolder(edge.inode)()).toHaveLength(1);
});
