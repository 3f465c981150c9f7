/** Policies of systemd units: told by the cgroup of a socket, also when a unit starts again, and at both ends. */
import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import {
  createCgroup,
  openSockets,
  type Pair,
  type Place,
  pair,
  requireKernel,
  type Sockets,
  type Talker,
} from "./lab/index.ts";
import { type Guarded, guard, toPorts } from "./policy/guarded.ts";
import { sharedHosts } from "./policy/hosts.ts";

const web = `web-${process.pid}.service`;
const app = `app-${process.pid}.service`;
const ASKED = 7100;

interface Hosts extends AsyncDisposable {
  readonly net: Pair;
  readonly guarded: Guarded;
  readonly client: Sockets;
  /** On the host that is guarded: of no unit, and of one. */
  readonly other: Sockets;
  readonly app: Sockets;
  /** From the unit `app` to the other host, before there was an agent. */
  readonly older: { readonly client: Talker; readonly server: Talker };
  /** Starts the unit `web`, whose cgroup goes with it, as systemd does. */
  startWeb(): Promise<Sockets>;
}

async function openHosts(): Promise<Hosts> {
  await using stack = new AsyncDisposableStack();
  const net = stack.use(await pair());
  const slice = stack.use(createCgroup());
  const startIn = async (unit: string): Promise<Sockets> => {
    const folder = join(slice.path, unit);
    mkdirSync(folder);
    const inside: Place = {
      enter: (command) => ["sh", "-c", 'echo $$ >"$0" && exec "$@"', `${folder}/cgroup.procs`, ...command],
    };
    const sockets = await openSockets([net.server, inside]);
    return {
      ...sockets,
      async [Symbol.asyncDispose]() {
        await sockets[Symbol.asyncDispose]();
        rmdirSync(folder);
      },
    };
  };
  const [client, other, inApp] = await Promise.all([
    openSockets(net.client),
    openSockets(net.server),
    startIn(app),
  ]);
  for (const one of [client, other, inApp]) stack.use(one);
  const server = await client.listen("tcp", net.left.ipv4, ASKED);
  const older = { server, client: await inApp.dial("tcp", { host: net.left.ipv4, port: ASKED }) };
  older.client.say("older than the agent");
  await server.hears("older");
  const guarded = stack.use(await guard(net.server, 2));
  const owned = stack.move();
  return {
    ...{ net, guarded, client, other, app: inApp, older },
    startWeb: () => startIn(web),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

beforeEach((context) => requireKernel(context, "cgroup2"));
const hosts = sharedHosts(openHosts);

/** The first: its connection is older than the agent, and no policy was in force yet. */
test("connections that are older than a unit's policy go on in the direction in which they were opened", async () => {
  const { net, guarded, client, app: unit, older } = hosts();
  const { ipv4: host } = net.right;
  const asked = await unit.listen("tcp", host, ASKED);
  const asking = await client.dial("tcp", { host, port: ASKED });
  asking.say("newer than the agent");
  await asked.hears("newer");
  await guarded.apply(`
  endpointSelector: { matchLabels: { unit: ${app} } }
  ingress: ${toPorts(ASKED)}
  egress: ${toPorts(ASKED)}`);
  // Who was asked speaks first: its packet alone does not tell who opened the connection.
  for (const [speaker, listener] of [
    [older.server, older.client],
    [older.client, older.server],
    [asked, asking],
    [asking, asked],
  ] as const) {
    speaker.say("goes on");
    await listener.hears("goes on");
  }
});

/** Resolves once the rule's flows tell that a connection came to nothing. */
async function isDenied(from: Sockets, host: string, port: number, path: string): Promise<boolean> {
  const { guarded } = hosts();
  const before = await guarded.decided(path, "deny");
  let isOpen = false;
  from.dial("tcp", { host, port }).then(
    () => {
      isOpen = true;
    },
    () => {},
  );
  await guarded.decides(path, "deny", before);
  return !isOpen;
}

test("a unit is reached where its policy allows it, other processes as before; also when it starts again", async () => {
  const { net, guarded, client, other } = hosts();
  const { ipv4: host } = net.right;
  await other.listen("tcp", host, 9091);
  {
    await using unit = await hosts().startWeb();
    for (const port of [8080, 9090]) await unit.listen("tcp", host, port);
    for (const port of [8080, 9090, 9091]) await client.dial("tcp", { host, port });
    await guarded.apply(`
  endpointSelector: { matchLabels: { unit: ${web} } }
  ingress: [{ fromCIDR: ["${net.left.ipv4}/32"], ${toPorts(8080).slice(2, -2)} }]`);
    for (const port of [8080, 9091]) await client.dial("tcp", { host, port });
    expect(await isDenied(client, host, 9090, "spec.ingress")).toBe(true);
  }
  await using again = await hosts().startWeb();
  for (const port of [8080, 9090]) await again.listen("tcp", host, port);
  expect(await isDenied(client, host, 9090, "spec.ingress")).toBe(true);
  await client.dial("tcp", { host, port: 8080 });
});

test("over loopback a unit knows who asks, and whom it asks", async () => {
  const { guarded, other } = hosts();
  const host = "127.0.0.1";
  await using unit = await hosts().startWeb();
  await unit.listen("tcp", host, 8080);
  await other.listen("tcp", host, 9092);
  const between = (subject: string, section: string, peer: string): Promise<void> =>
    guarded.apply(
      `
  endpointSelector: { matchLabels: { unit: ${subject} } }
  ${section}: [{ ${section === "ingress" ? "from" : "to"}Endpoints: [{ matchLabels: { unit: ${peer} } }] }]`,
      { management: false },
    );
  await between(web, "ingress", app);
  await hosts().app.dial("tcp", { host, port: 8080 });
  expect(await isDenied(other, host, 8080, "spec.ingress")).toBe(true);

  await between(app, "egress", web);
  await hosts().app.dial("tcp", { host, port: 8080 });
  expect(await isDenied(hosts().app, host, 9092, "spec.egress")).toBe(true);
  // What never came to a device is a flow all the same, with whose it was.
  await expect
    .poll(() => hosts().guarded.agent.get("/api/v1/flows?verdict=dropped&since=1h"), { timeout: 20_000 })
    .toMatchObject({
      flows: expect.arrayContaining([
        expect.objectContaining({
          ...{
            place: "loopback",
            direction: "egress",
            rule: { policy: "default/test", path: "spec.egress" },
          },
          ...{ process: expect.objectContaining({ unit: app }) },
          destination: expect.objectContaining({ ip: host, port: 9092 }),
        }),
      ]),
    });
});
