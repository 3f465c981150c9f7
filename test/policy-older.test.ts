/** Connections that are older than the first policy, and than the agent. */
import { beforeEach, expect, test } from "vitest";
import { openSockets, pair, requireKernel, type Sockets, type Talker } from "./lab/index.ts";
import { guard, toPorts } from "./policy/guarded.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf", "tcx"));

interface Conversation {
  readonly client: Talker;
  readonly server: Talker;
}

test("they go on in the direction in which they were opened, and are cut when a policy denies that", async () => {
  await using net = await pair();
  await using edge = await openSockets(net.server);
  await using near = await openSockets(net.client);
  let port = 7000;
  const connect = async (
    from: Sockets,
    to: Sockets,
    host: string,
    protocol: "tcp" | "udp",
  ): Promise<Conversation> => {
    const server = await to.listen(protocol, host, port);
    const client = await from.dial(protocol, { host, port: port++ });
    client.say("hello");
    await server.hears("hello");
    return { client, server };
  };
  const some = async (): Promise<{ asked: Conversation[]; asking: Conversation[] }> => {
    const both = { asked: [] as Conversation[], asking: [] as Conversation[] };
    for (const version of ["ipv4", "ipv6"] as const) {
      both.asked.push(await connect(near, edge, net.right[version], "tcp"));
      both.asking.push(await connect(edge, near, net.left[version], "tcp"));
    }
    return both;
  };
  const older = await some();
  await using guarded = await guard(net.server, 2);
  const newer = await some();
  for (const version of ["ipv4", "ipv6"] as const) {
    newer.asked.push(await connect(near, edge, net.right[version], "udp"));
    newer.asking.push(await connect(edge, near, net.left[version], "udp"));
  }
  const asked = [...older.asked, ...newer.asked];
  const asking = [...older.asking, ...newer.asking];
  const portsOf = (some: readonly Conversation[]): number[] => some.map(({ server }) => server.port);
  const say = async (from: Talker, to: Talker, words: string): Promise<void> => {
    from.say(words);
    await to.hears(words);
  };
  const goOn = async (word: string, some: readonly Conversation[]): Promise<void> => {
    for (const { client, server } of some) {
      // Who was asked speaks first: its packet alone does not tell who opened the connection.
      await say(server, client, `${word} back`);
      await say(client, server, `${word} there`);
    }
  };
  await guarded.apply(
    `{endpointSelector: {}, ingress: ${toPorts(...portsOf(asked))}, egress: ${toPorts(...portsOf(asking))}}`,
  );
  await goOn("first", [...asked, ...asking]);

  await guarded.apply(`{endpointSelector: {}, ingress: ${toPorts(...portsOf(asked))}, egress: [{}]}`);
  const denied = await guarded.decided("spec.egress", "deny");
  for (const { client, server } of asking) {
    server.say("second back");
    client.say("second there");
  }
  await goOn("second", asked);
  await guarded.decides("spec.egress", "deny", denied + 2 * asking.length - 1);
  for (const { client, server } of asking) expect(client.heard() + server.heard()).not.toContain("second");

  await guarded.apply(
    `{endpointSelector: {}, ingress: ${toPorts(...portsOf(asked))}, egress: ${toPorts(...portsOf(asking))}}`,
  );
  await goOn("third", asked);
  // What was cut is no connection any more: who may open it begins.
  for (const { client, server } of asking) {
    await say(client, server, "third there");
    await say(server, client, "third back");
  }
});
