/** What belongs to an allowed connection passes, whichever way it goes, and nothing else; and it is cut when denied. */
import { describe, expect, test } from "vitest";
import { ethernet, ipv4, ipv6, tcp } from "../packages/flows/src/testing/frames.ts";
import type { Interface } from "./lab/index.ts";
import { toPorts } from "./policy/guarded.ts";
import { guardedPair, sharedHosts } from "./policy/hosts.ts";
import { witness } from "./policy/witness.ts";

const SYN = 0x02;
const ACK = 0x10;

const hosts = sharedHosts(guardedPair);
let port = 7000;

type Version = "ipv4" | "ipv6";
const versions: readonly Version[] = ["ipv4", "ipv6"];

/** A TCP segment from the host beside it. */
function segment(
  version: Version,
  from: Interface,
  to: Interface,
  ports: [number, number],
  flags: number,
): Uint8Array {
  const ends = { source: from[version], destination: to[version] };
  const upper = tcp({ sourcePort: ports[0], destinationPort: ports[1], flags });
  const mac = (text: string): number[] => text.split(":").map((byte) => Number.parseInt(byte, 16));
  return ethernet(version === "ipv4" ? ipv4(ends, upper) : ipv6(ends, upper), {
    source: mac(from.mac),
    destination: mac(to.mac),
  });
}

describe.each(versions)("over %s", (version) => {
  test("an answer passes, what was not asked for does not, though it looks like one", async () => {
    const { edge, near, net, guarded } = hosts();
    const [here, there] = [net.right[version], net.left[version]];
    const [asked, own, other] = [port++, port++, port++];
    await guarded.apply(`{endpointSelector: {}, ingress: [{}], egress: ${toPorts(asked)}}`);
    const resolver = await near.listen("udp", there, asked);
    const [socket, bystander] = [await edge.listen("udp", here, own), await edge.listen("udp", here, other)];
    const denied = await guarded.decided("spec.ingress", "deny");
    resolver.say("unasked", { host: here, port: own });
    await guarded.decides("spec.ingress", "deny", denied);
    socket.say("question", { host: there, port: asked });
    await resolver.hears("question");
    resolver.say("to another", { host: here, port: other });
    resolver.say("answer", { host: here, port: own });
    await socket.hears("answer");
    expect(socket.heard()).toBe("answer");
    expect(bystander.heard()).toBe("");
    await guarded.decides("spec.ingress", "deny", denied + 1);
    await guarded.decides("spec.egress[0]", "allow", 0);
  });

  test("segments of no connection do not pass, with whatever flags", async () => {
    const { edge, near, frames, net, guarded } = hosts();
    const [asked, own] = [port++, port++];
    const { left, right } = net;
    await guarded.apply(`{endpointSelector: {}, ingress: [{}], egress: ${toPorts(asked)}}`);
    const behind = await witness(net.server, `tcp dport ${own}`);
    const denied = await guarded.decided("spec.ingress", "deny");
    const flags = [SYN, ACK, SYN | ACK, 0x01 | ACK, 0x04];
    await frames.send(flags.map((flag) => segment(version, left, right, [asked, own], flag)));
    await guarded.decides("spec.ingress", "deny", denied + flags.length - 1);
    expect(await behind.seen()).toBe(0);
    const server = await near.listen("tcp", left[version], asked);
    const client = await edge.dial("tcp", { host: left[version], port: asked }, own);
    server.say("answer");
    await client.hears("answer");
    expect(await behind.seen()).toBeGreaterThan(0);
  });

  test("a forged opening with the tuple of a connection does not disturb it", async () => {
    const { edge, near, frames, net, guarded } = hosts();
    const [asked, own] = [port++, port++];
    const { left, right } = net;
    await guarded.apply(`{endpointSelector: {}, ingress: [{}], egress: ${toPorts(asked)}}`);
    const server = await near.listen("tcp", left[version], asked);
    const client = await edge.dial("tcp", { host: left[version], port: asked }, own);
    client.say("question");
    await server.hears("question");
    await frames.send([segment(version, left, right, [asked, own], SYN)]);
    server.say("answer");
    await client.hears("answer");
    // Now it is the first packet that a new generation judges.
    await guarded.apply(`{endpointSelector: {}, ingress: [{}], egress: ${toPorts(asked, port++)}}`);
    await frames.send([segment(version, left, right, [asked, own], SYN)]);
    server.say("more");
    await client.hears("more");
  });

  test.each(["udp", "tcp"] as const)("a revoked %s connection is cut, others are not", async (protocol) => {
    const { edge, near, net, guarded } = hosts();
    const [here, there] = [net.right[version], net.left[version]];
    const [inward, outward, kept] = [port++, port++, port++];
    const spec = (into: number[], out: number[]): string =>
      `{endpointSelector: {}, ingress: ${toPorts(...into)}, egress: ${toPorts(...out)}}`;
    await guarded.apply(spec([inward, kept], [outward]));
    const pairs = {
      inward: {
        server: await edge.listen(protocol, here, inward),
        client: await near.dial(protocol, { host: here, port: inward }),
      },
      outward: {
        server: await near.listen(protocol, there, outward),
        client: await edge.dial(protocol, { host: there, port: outward }),
      },
      kept: {
        server: await edge.listen(protocol, here, kept),
        client: await near.dial(protocol, { host: here, port: kept }),
      },
    };
    const all = Object.values(pairs);
    const talk = async (word: string): Promise<void> => {
      for (const { server, client } of all) {
        client.say(`${word} there`);
        await server.hears(`${word} there`);
        server.say(`${word} back`);
        await client.hears(`${word} back`);
      }
    };
    await talk("allowed");
    await guarded.apply(spec([kept], []));
    // One side after the other: figures tell a flow's packets by its latest verdict.
    for (const [speaker, listener, words] of [
      ["client", "server", "cut there"],
      ["server", "client", "cut back"],
    ] as const) {
      const denied = {
        in: await guarded.decided("spec.ingress", "deny"),
        out: await guarded.decided("spec.egress", "deny"),
      };
      for (const each of all) each[speaker].say(words);
      await pairs.kept[listener].hears(words);
      await guarded.decides("spec.ingress", "deny", denied.in);
      await guarded.decides("spec.egress", "deny", denied.out);
    }
    for (const { server, client } of [pairs.inward, pairs.outward])
      expect(server.heard() + client.heard()).not.toContain("cut");
    await guarded.apply(spec([inward, kept], [outward]));
    await talk("allowed again");
    // TCP sends again what was cut, UDP does not.
    for (const { server } of [pairs.inward, pairs.outward])
      expect(server.heard().includes("cut there")).toBe(protocol === "tcp");
  });
});
