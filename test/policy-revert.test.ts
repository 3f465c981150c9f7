/** A policy that denies everything, applied over a connection that it cuts, ends by itself; whatever becomes of the agent. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { beforeEach, expect, test } from "vitest";
import { openSockets, pair, requireKernel, type Talker } from "./lab/index.ts";
import { type Guarded, guard, toPorts } from "./policy/guarded.ts";
import { pinnedFolder } from "./policy/pinned-folder.ts";
import { policyLine, remoteShell } from "./policy/remote-shell.ts";
import { witness } from "./policy/witness.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf", "tcx"));

const PORT = 2222;
const denyAll = "{endpointSelector: {}, ingress: [{}], egress: [{}]}";

interface Administered extends AsyncDisposable {
  readonly guarded: Guarded;
  /** A connection to a shell that tells its programs of it, or to one that does not. */
  session(options: { readonly tells: boolean }): Promise<Talker>;
  /** Says something over a session to the second shell. @returns whether that came past the device */
  arrives(session: Talker, words: string): Promise<boolean>;
  /** The words that apply the policy. */
  readonly apply: string;
  readonly reset: string;
}

async function administered(...flags: readonly string[]): Promise<Administered> {
  await using stack = new AsyncDisposableStack();
  const { client, server, right } = stack.use(await pair());
  const near = stack.use(await openSockets(client));
  stack.use(await remoteShell(server, { port: PORT, tells: true }));
  stack.use(await remoteShell(server, { port: PORT + 1, tells: false }));
  const guarded = stack.use(await guard(server, 2));
  const { folder } = guarded.agent;
  const file = join(folder, "deny-all.yaml");
  const head = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: test}\n";
  await writeFile(file, `${head}spec: ${denyAll}\n`);
  const owned = stack.move();
  return {
    guarded,
    session: ({ tells }) => near.dial("tcp", { host: right.ipv6, port: tells ? PORT : PORT + 1 }),
    async arrives(session, words) {
      const match = `tcp dport ${PORT + 1} tcp flags psh`;
      const sent = await witness(client, match, "output");
      const behind = await witness(server, match);
      session.say(words);
      while ((await sent.seen()) === 0);
      return (await behind.seen()) > 0;
    },
    apply: policyLine(folder, "apply", file, "--no-management", ...flags),
    reset: policyLine(folder, "reset", "--yes"),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

test("the session that applies it stays, and ends it for the others", async () => {
  await using edge = await administered("--confirm-within", "2m");
  const session = await edge.session({ tells: true });
  const other = await edge.session({ tells: false });
  session.say(edge.apply);
  await session.hears("exit 0");
  expect(session.heard()).toContain("falls back in 120 s unless confirmed");
  other.say("echo hello");
  await edge.guarded.decides("spec.ingress", "deny", 0);
  expect(other.heard()).toBe("");
  session.say(edge.reset);
  await session.hears("no policy is applied");
  await other.hears("hello\nexit 0");
});

test("where nobody knows the session, its answer comes when the policy has ended by itself", async () => {
  // A busy machine takes seconds to end the command, whose answer is to be denied; TCP gives up on what this host itself
  // drops after 15 attempts, two a second.
  await using edge = await administered("--confirm-within", "5s");
  const session = await edge.session({ tells: false });
  session.say(edge.apply);
  // It is cut: the answer does not pass at first.
  await edge.guarded.decides("spec.egress", "deny", 0);
  await session.hears("exit 0");
  await edge.guarded.settled();
  session.say("echo still here");
  await session.hears("still here");
});

test("it ends while the agent does nothing", async () => {
  await using edge = await administered();
  const session = await edge.session({ tells: false });
  const { agent } = edge.guarded;
  await edge.guarded.apply(denyAll, { management: false, confirmWithinSeconds: 5 });
  agent.process.kill("SIGSTOP");
  expect(await edge.arrives(session, "echo hello")).toBe(false);
  await session.hears("hello");
  agent.process.kill("SIGCONT");
  await edge.guarded.settled();
});

test.each(["SIGKILL", "SIGINT"] as const)("without --pin it ends with the agent: %s", async (signal) => {
  await using edge = await administered();
  const session = await edge.session({ tells: false });
  await edge.guarded.apply(denyAll, { management: false, confirmWithinSeconds: 3600 });
  expect(await edge.arrives(session, "echo hello")).toBe(false);
  edge.guarded.agent.process.kill(signal);
  await session.hears("hello");
});

test("with --pin it ends in time though the agent was killed", async () => {
  await using edge = await administered();
  const session = await edge.session({ tells: false });
  await edge.guarded.apply(denyAll, { management: false, pin: true, confirmWithinSeconds: 5 });
  edge.guarded.agent.process.kill("SIGKILL");
  await edge.guarded.agent.process.exit;
  expect(await edge.arrives(session, "echo hello")).toBe(false);
  await session.hears("hello");
  session.say(edge.reset);
  await session.hears("no policy is applied");
});

test("what holds again holds whole: at loopback, and pinned", async () => {
  await using net = await pair();
  await using edge = await openSockets(net.server);
  await using near = await openSockets(net.client);
  await using guarded = await guard(net.server, 2);
  const { agent } = guarded;
  const [allowed, denied] = [7000, 7001];
  const both = `{endpointSelector: {}, ingress: ${toPorts(allowed)}, egress: ${toPorts(allowed)}}`;
  await guarded.apply(both, { pin: true });
  const within = await edge.listen("udp", "127.0.0.1", denied);
  const toItself = await edge.dial("udp", { host: "127.0.0.1", port: denied });
  toItself.say("before");
  await within.hears("before");

  // It judges loopback, and is not to be pinned.
  await guarded.apply(denyAll, { management: false, confirmWithinSeconds: 3 });
  toItself.say("meanwhile");
  await guarded.decides("spec.egress", "deny", 0);
  expect(within.heard()).toBe("before");
  // By the kernel alone: an agent would put all of it in force anew.
  agent.process.kill("SIGSTOP");
  while (!within.heard().includes("again")) {
    toItself.say("again");
    await setTimeout(50);
  }

  agent.process.kill("SIGKILL");
  await agent.process.exit;
  const { ipv4: host } = net.right;
  const hidden = await edge.listen("udp", host, denied);
  const open = await edge.listen("udp", host, allowed);
  for (const port of [denied, allowed]) (await near.dial("udp", { host, port })).say("still judged");
  await open.hears("still judged");
  expect(hidden.heard()).toBe("");
  expect(await pinnedFolder(net.server.inode)()).toHaveLength(1);
});
