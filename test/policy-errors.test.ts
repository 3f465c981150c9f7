/** ICMP errors about allowed connections pass, whatever the rules say of ICMP; others do not. */
import { describe, expect, test } from "vitest";
import { ethernet, icmp, icmpv6, ipv4, ipv6, tcp, type Upper } from "../packages/flows/src/testing/frames.ts";
import {
  createNamespace,
  type FrameSender,
  frameSender,
  type Namespace,
  openSockets,
  type Routed,
  route,
  type Sockets,
} from "./lab/index.ts";
import { type Guarded, guard, toPorts } from "./policy/guarded.ts";
import { sharedHosts } from "./policy/hosts.ts";
import { witness } from "./policy/witness.ts";

const NARROW = 1300;
const ANSWERS_PORT = 7000;

/** `edge` is guarded; `far` is behind a router whose link to it is narrower. */
interface Hosts extends AsyncDisposable {
  readonly place: Namespace;
  readonly guarded: Guarded;
  readonly ends: Routed;
  readonly edge: Sockets;
  readonly far: Sockets;
  /** From the router to `edge`. */
  readonly frames: FrameSender;
}

async function openHosts(): Promise<Hosts> {
  await using stack = new AsyncDisposableStack();
  const place = stack.use(await createNamespace());
  const router = stack.use(await createNamespace());
  const farPlace = stack.use(await createNamespace());
  const ends = await route(place, router, farPlace);
  await router.exec(["ip", "link", "set", "right0", "mtu", `${NARROW}`]);
  const [edge, far] = [stack.use(await openSockets(place)), stack.use(await openSockets(farPlace))];
  const frames = stack.use(await frameSender(ends.left[1]));
  const guarded = stack.use(await guard(place, 2));
  const owned = stack.move();
  return { place, guarded, ends, edge, far, frames, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

const hosts = sharedHosts(openHosts);
let port = ANSWERS_PORT;

const tooBig = { ipv4: { type: 3, code: 4 }, ipv6: { type: 2, code: 0 } };
const unreachable = { ipv4: { type: 3, code: 3 }, ipv6: { type: 1, code: 4 } };
const errorsOf = {
  ipv4: "icmp type destination-unreachable",
  ipv6: "icmpv6 type { destination-unreachable, packet-too-big }",
};

describe.each(["ipv4", "ipv6"] as const)("over %s", (version) => {
  /** An error of the router about a packet that `edge` is said to have sent. */
  function error(kind: { type: number; code: number }, ports: [number, number]): Uint8Array {
    const { left, right } = hosts().ends;
    const quoted = tcp({ sourcePort: ports[0], destinationPort: ports[1], flags: 0x10 });
    const ip = (source: string, destination: string, upper: Upper): Uint8Array =>
      version === "ipv4" ? ipv4({ source, destination }, upper) : ipv6({ source, destination }, upper);
    const about = ip(left[0][version], right[0][version], quoted);
    // The next hop's MTU stands where an echo has its sequence; for IPv6 both halves of the word are it.
    const told = { ...kind, id: 0, sequence: NARROW };
    const message = version === "ipv4" ? icmp(told, about) : icmpv6(told, about);
    const mac = (text: string): number[] => text.split(":").map((byte) => Number.parseInt(byte, 16));
    return ethernet(ip(left[1][version], left[0][version], message), {
      source: mac(left[1].mac),
      destination: mac(left[0].mac),
    });
  }

  test("that packets are too big for the path comes through, and all of a stream after it", async () => {
    const { edge, far, guarded, ends, place } = hosts();
    const host = ends.right[0][version];
    const asked = port++;
    await guarded.apply(`{endpointSelector: {}, ingress: [{}], egress: ${toPorts(asked)}}`);
    const behind = await witness(place, errorsOf[version]);
    const server = await far.listen("tcp", host, asked);
    const client = await edge.dial("tcp", { host, port: asked });
    client.say(`${"x".repeat(200_000)} end`);
    await server.hears(" end");
    expect(await behind.seen()).toBeGreaterThan(0);
    expect(await place.exec(["ip", "route", "get", host])).toContain(`mtu ${NARROW}`);
    type State = { counts: { related: number } };
    const { counts } = await guarded.agent.get<State>("/api/v1/policy/state");
    expect(counts.related).toBeGreaterThan(0);
  });

  test("that a port is closed comes through to who asked there, both ways", async () => {
    const { edge, far, guarded, ends } = hosts();
    const [inward, outward] = [port++, port++];
    await guarded.apply(`{endpointSelector: {}, ingress: ${toPorts(inward)}, egress: ${toPorts(outward)}}`);
    const asking = await edge.dial("udp", { host: ends.right[0][version], port: outward });
    asking.say("anybody there");
    expect(await asking.fails()).toBe("ECONNREFUSED");
    const asked = await far.dial("udp", { host: ends.left[0][version], port: inward });
    asked.say("anybody there");
    expect(await asked.fails()).toBe("ECONNREFUSED");
  });

  test("those about no connection, or about a denied one, do not pass", async () => {
    const { edge, far, guarded, ends, place, frames } = hosts();
    const host = ends.right[0][version];
    const [asked, own, other, forbidden] = [port++, port++, port++, port++];
    await guarded.apply(`{endpointSelector: {}, ingress: [{}], egress: ${toPorts(asked)}}`);
    const server = await far.listen("tcp", host, asked);
    const client = await edge.dial("tcp", { host, port: asked }, own);
    const behind = await witness(place, errorsOf[version]);
    const udp = await edge.dial("udp", { host, port: forbidden });
    udp.say("never sent");
    await guarded.decides("spec.egress", "deny", 0);
    const denied = await guarded.decided("spec.ingress", "deny");
    await frames.send([
      error(tooBig[version], [other, asked]),
      error(unreachable[version], [other, asked]),
      error(tooBig[version], [udp.port, forbidden]),
      error(unreachable[version], [own, other]),
    ]);
    await guarded.decides("spec.ingress", "deny", denied + 3);
    expect(await behind.seen()).toBe(0);
    await frames.send([error(tooBig[version], [own, asked])]);
    client.say("question");
    await server.hears("question");
    expect(await behind.seen()).toBe(1);
  });
});
