/** A router's policy judges what reaches or leaves the router, not what it forwards. */
import { describe, expect, test } from "vitest";
import { ethernet, ipv4, ipv6, udp } from "../packages/flows/src/testing/frames.ts";
import {
  createNamespace,
  type FrameSender,
  frameSender,
  masquerade,
  openSockets,
  ping,
  type Routed,
  route,
  type Sockets,
} from "./lab/index.ts";
import { type Guarded, guard } from "./policy/guarded.ts";
import { sharedHosts } from "./policy/hosts.ts";

const denyAll = "{endpointSelector: {}, ingress: [{}], egress: [{}]}";

interface Hosts extends AsyncDisposable {
  readonly ends: Routed;
  readonly guarded: Guarded;
  /** From the left end to the router. */
  readonly frames: FrameSender;
  readonly left: Sockets;
  readonly router: Sockets;
  readonly right: Sockets;
}

async function openHosts(translates: boolean): Promise<Hosts> {
  await using stack = new AsyncDisposableStack();
  const places = [
    stack.use(await createNamespace()),
    stack.use(await createNamespace()),
    stack.use(await createNamespace()),
  ] as const;
  const ends = await route(...places);
  if (translates) await masquerade(places[1], "right0");
  const [left, router, right] = [
    stack.use(await openSockets(places[0])),
    stack.use(await openSockets(places[1])),
    stack.use(await openSockets(places[2])),
  ];
  const frames = stack.use(await frameSender(ends.left[0]));
  const guarded = stack.use(await guard(places[1], 3));
  const owned = stack.move();
  return { ends, guarded, frames, left, router, right, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

describe.each([
  ["forwarded as it is", false],
  ["with its source translated", true],
])("%s", (_, translates) => {
  const hosts = sharedHosts(() => openHosts(translates));
  let port = 7000;

  test.each(["ipv4", "ipv6"] as const)(
    "passes over %s; the router itself does not speak or answer",
    async (version) => {
      const { ends, guarded, left, router, right } = hosts();
      await guarded.apply(denyAll);
      for (const protocol of ["udp", "tcp"] as const) {
        const host = ends.right[0][version];
        const server = await right.listen(protocol, host, port);
        const client = await left.dial(protocol, { host, port: port++ });
        client.say("question");
        await server.hears("question");
        server.say("answer");
        await client.hears("answer");
      }
      expect(await ping(ends.left[0].namespace, { host: ends.right[0][version], count: 1 })).toMatchObject({
        received: 1,
      });
      const own = await router.listen("udp", ends.left[1][version], port);
      const stranger = await left.dial("udp", { host: ends.left[1][version], port });
      stranger.say("denied");
      await guarded.decides("spec.ingress", "deny", 0);
      expect(own.heard()).toBe("");
      const other = await right.listen("udp", ends.right[0][version], port);
      own.say("denied", { host: ends.right[0][version], port: port++ });
      await guarded.decides("spec.egress", "deny", 0);
      expect(other.heard()).toBe("");
    },
  );

  test.each(["ipv4", "ipv6"] as const)(
    "what a stranger sends to himself in the router's name over %s opens no port of it",
    async (version) => {
      const { ends, guarded, left, router, frames } = hosts();
      const [stranger, edge] = ends.left;
      await guarded.apply(denyAll);
      const asked = port++;
      const own = await router.listen("udp", edge[version], asked);
      const client = await left.dial("udp", { host: edge[version], port: asked });
      const ports = { sourcePort: asked, destinationPort: client.port };
      const packet = { source: edge[version], destination: stranger[version] };
      const forged = (version === "ipv4" ? ipv4 : ipv6)(packet, udp(ports, Buffer.from("forged")));
      const mac = (text: string): number[] => text.split(":").map((byte) => Number.parseInt(byte, 16));
      const sent = await guarded.decided("spec.ingress", "deny");
      await frames.send([ethernet(forged, { source: mac(stranger.mac), destination: mac(edge.mac) })]);
      client.say("denied");
      await guarded.decides("spec.ingress", "deny", sent);
      expect(own.heard()).toBe("");
    },
  );
});
