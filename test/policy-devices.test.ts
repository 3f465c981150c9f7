/** Policy at devices above others, bridge and macvlan, and at several devices at once. */
import { beforeEach, expect, test } from "vitest";
import {
  acquaint,
  bridge,
  connect,
  createNamespace,
  type Interface,
  macvlan,
  type Namespace,
  openSockets,
  ping,
  requireKernel,
  type Sockets,
} from "./lab/index.ts";
import { type Guarded, guard, toPorts } from "./policy/guarded.ts";

beforeEach((context) =>
  requireKernel(context, "netns", "nftables", "bpf", "btf", "tcx", "bridge", "macvlan"),
);

/** Both ways over both IP versions: one port is open, the other is not. */
async function isJudged(
  guarded: Guarded,
  [edge, own]: readonly [Sockets, Interface],
  [near, peer]: readonly [Sockets, Interface],
): Promise<void> {
  const [open, closed] = [7000, 7001];
  await guarded.apply(`{endpointSelector: {}, ingress: ${toPorts(open)}, egress: ${toPorts(open)}}`);
  for (const version of ["ipv4", "ipv6"] as const)
    for (const [asker, answerer, host, path] of [
      [near, edge, own[version], "spec.ingress"],
      [edge, near, peer[version], "spec.egress"],
    ] as const) {
      const denied = await guarded.decided(path, "deny", "flows");
      const hidden = await answerer.listen("udp", host, closed);
      const stranger = await asker.dial("udp", { host, port: closed });
      stranger.say("denied");
      for (const protocol of ["udp", "tcp"] as const) {
        const server = await answerer.listen(protocol, host, open);
        const client = await asker.dial(protocol, { host, port: open });
        client.say("question");
        await server.hears("question");
        server.say("answer");
        await client.hears("answer");
        server.close();
        client.close();
      }
      await guarded.decides(path, "deny", denied, "flows");
      expect(hidden.heard()).toBe("");
      hidden.close();
    }
}

test("a bridge's host is judged at the bridge, what passes between its ports is not", async () => {
  await using stack = new AsyncDisposableStack();
  const [edge, one, other] = await namespaces(stack, 3);
  const { hosts, own } = await bridge(edge, [one, other]);
  const [first, second] = hosts as [Interface, Interface];
  const sockets = await socketsOf(stack, [edge, one]);
  const guarded = stack.use(await guard(edge, 3));
  await isJudged(guarded, [sockets[0], own], [sockets[1], first]);
  await guarded.apply("{endpointSelector: {}, ingress: [{}], egress: [{}]}");
  for (const version of ["ipv4", "ipv6"] as const)
    expect(await ping(one, { host: second[version], count: 1 })).toMatchObject({ received: 1 });
});

test("an address of a macvlan and one of the device below it are both judged", async () => {
  await using stack = new AsyncDisposableStack();
  const [edge, near] = await namespaces(stack, 2);
  const [below, peer] = await connect(edge, near);
  const above = await macvlan(below, "mac0", 1, 7);
  await acquaint([above, peer]);
  const sockets = await socketsOf(stack, [edge, near]);
  const guarded = stack.use(await guard(edge, 2));
  await isJudged(guarded, [sockets[0], below], [sockets[1], peer]);
  await isJudged(guarded, [sockets[0], above], [sockets[1], peer]);
});

test("a device that comes after the policy is judged as well", async () => {
  await using stack = new AsyncDisposableStack();
  const [edge, near, late] = await namespaces(stack, 3);
  const [own, peer] = await connect(edge, near);
  const sockets = await socketsOf(stack, [edge, near]);
  const guarded = stack.use(await guard(edge, 2));
  await isJudged(guarded, [sockets[0], own], [sockets[1], peer]);
  const [newOwn, newPeer] = await connect(edge, late, { subnet: 2, names: ["eth1", "eth0"] });
  const [lateSockets] = await socketsOf(stack, [late]);
  await guarded.agent.observes(3);
  await isJudged(guarded, [sockets[0], newOwn], [lateSockets as Sockets, newPeer]);
});

async function namespaces<N extends number>(
  stack: AsyncDisposableStack,
  count: N,
): Promise<N extends 2 ? [Namespace, Namespace] : [Namespace, Namespace, Namespace]> {
  const all: Namespace[] = [];
  while (all.length < count) all.push(stack.use(await createNamespace()));
  return all as never;
}

async function socketsOf(
  stack: AsyncDisposableStack,
  places: readonly Namespace[],
): Promise<[Sockets, Sockets]> {
  const all: Sockets[] = [];
  for (const place of places) all.push(stack.use(await openSockets(place)));
  return all as [Sockets, Sockets];
}
