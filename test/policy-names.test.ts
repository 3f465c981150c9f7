/** toFQDNs against a running agent, a real resolver and real connections. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeEach, expect, test } from "vitest";
import { type Agent, type Outcome, pair, requireKernel, run, runX0, start, startAgent } from "./lab/index.ts";

const PORT = 8080;
const FIRST_CONNECTIONS = 200;
/** All of its addresses are the server's. */
const NETWORK = "10.99.0.0/16";
const LOCAL_RESOLVER = "127.0.0.53";
const nameServer = fileURLToPath(
  new URL("../packages/flows/src/policy/testing/name-server.ts", import.meta.url),
);

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf", "tcx"));

interface Names {
  readonly admitted: readonly { readonly name: string; readonly address: string; readonly until: string }[];
  readonly figures: Readonly<Record<string, number>>;
}

interface Host extends AsyncDisposable {
  readonly agent: Agent;
  readonly folder: string;
  readonly resolver: string;
  startAgent(): Promise<Agent>;
  /** Of each: whether it was reached. Names are asked one after the other, and connected to at once. */
  reach(targets: readonly string[], patienceMs?: number): Promise<boolean[]>;
  /** A connection to an address that stays until the test's end. */
  hold(address: string): Promise<void>;
  names(): Promise<Names>;
  /** `x0 policy` with words, from inside. */
  policy(...words: readonly string[]): Promise<Outcome>;
  /** Until what is admitted is as told. */
  until(holds: (names: Names) => boolean): Promise<Names>;
}

/** A host whose policy lets it reach its resolver, and port 8080 of what `*.names.test` and `**.deep.test` are. */
async function host(isLocal = false, settings: readonly string[] = []): Promise<Host> {
  const stack = new AsyncDisposableStack();
  const { client: outside, server: inside, left } = stack.use(await pair());
  const folder = await mkdtemp(join(tmpdir(), "x0-policy-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  await outside.exec(["ip", "route", "add", "local", NETWORK, "dev", "lo"]);
  await inside.exec(["ip", "route", "add", NETWORK, "via", left.ipv4]);
  const resolver = isLocal ? LOCAL_RESOLVER : left.ipv4;
  const serve = [process.execPath, "--conditions=x0tta6bl4-source", nameServer, resolver];
  stack.use(await start(serve, /answering/, { places: isLocal ? inside : outside }));
  const greet = `require("net").createServer((s) => s.on("error", () => {}).write("hello")).listen(${PORT}, () => console.log("listening"))`;
  stack.use(await start([process.execPath, "-e", greet], /listening/, { places: outside }));
  const up = async (): Promise<Agent> =>
    stack.use(
      await startAgent({
        places: inside,
        folder,
        settings: [`policy.resolvers=["${resolver}"]`, ...settings],
      }),
    );
  const host: { agent: Agent } = { agent: await up() };
  await host.agent.observes(2);
  const policy = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: names}
spec:
  endpointSelector: {}
  egress:
  - toCIDR: [${left.ipv4}/32]
    toPorts: [{ports: [{port: "53", protocol: ANY}]}]
  - toFQDNs: [{matchPattern: "*.names.test"}, {matchPattern: "**.deep.test"}]
    toPorts: [{ports: [{port: "${PORT}"}]}]
`;
  const applied = await runX0(["policy", "apply", "-", "--data-dir", folder], { input: policy });
  expect(applied.code, applied.stderr).toBe(0);
  const names = (): Promise<Names> => host.agent.get<Names>("/api/v1/policy/names");
  return {
    get agent() {
      return host.agent;
    },
    folder,
    resolver,
    async startAgent() {
      host.agent = await up();
      return host.agent;
    },
    async reach(targets, patienceMs = 20_000) {
      const script = `
        const { Resolver } = require("dns").promises;
        const resolver = new Resolver({ timeout: 5000 });
        resolver.setServers(["${resolver}"]);
        const reach = (host) => new Promise((resolve) => {
          const socket = require("net").connect(${PORT}, host);
          const end = (reached) => { socket.destroy(); resolve(reached); };
          socket.once("data", () => end(true)).once("error", () => end(false));
          setTimeout(end, ${patienceMs}, false).unref();
        });
        (async () => {
          const reached = [];
          for (const target of ${JSON.stringify(targets)}) {
            const [address] = /^[0-9.]+$/.test(target) ? [target] : await resolver.resolve4(target);
            reached.push(await reach(address));
          }
          console.log(JSON.stringify(reached));
        })();`;
      const { stdout } = await run([process.execPath, "-e", script], { places: inside });
      return JSON.parse(stdout);
    },
    async hold(address) {
      const script = `require("net").connect(${PORT}, "${address}").on("data", () => console.log("held")); setInterval(() => {}, 1000)`;
      stack.use(await start([process.execPath, "-e", script], /held/, { places: inside }));
    },
    names,
    policy: (...words) => runX0(["policy", ...words, "--data-dir", folder], { places: inside }),
    async until(holds) {
      for (;;) {
        const now = await names();
        if (holds(now)) return now;
        await setTimeout(100);
      }
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const nth = (index: number): string => `10.99.${index >> 8}.${index & 255}`;
const named = (address: string, domain = "names.test"): string => `${address.replaceAll(".", "-")}.${domain}`;

/** One for all tests with the usual settings, each with addresses of its own. */
let shared: Promise<Host> | undefined;
function common(): Promise<Host> {
  shared ??= host();
  return shared;
}
afterAll(async () => (await shared)?.[Symbol.asyncDispose]());

test("names that no policy selects open nothing, and each selector what it says", async () => {
  const edge = await common();
  expect(await edge.reach([named(nth(1), "other.test"), named(nth(2), "x.names.test")], 500)).toEqual([
    false,
    false,
  ]);
  expect(await edge.reach([named(nth(3), "a.b.deep.test"), named(nth(4)).toUpperCase()])).toEqual([
    true,
    true,
  ]);
  const shown = await runX0(["policy", "show", "default/names", "--data-dir", edge.folder]);
  expect(shown.stderr).toMatch(/^NAME +ADDRESS +ADMITTED UNTIL$/m);
  expect(shown.stderr).toMatch(/^\*\.names\.test +10\.99\.0\.4 +20/m);
  expect(shown.stderr).toMatch(/^\*\*\.deep\.test +10\.99\.0\.3 +20/m);
  let health = "";
  while (!/address(es are| is) admitted by names/.test(health)) {
    health = await edge.agent.text("/api/v1/health");
    await setTimeout(100);
  }
});

test.each([false, true])(
  "what a name is answered with is reached at once, local resolver %s",
  async (isLocal) => {
    await using own = isLocal ? await host(isLocal) : undefined;
    const edge = own ?? (await common());
    expect(await edge.reach([nth(1000)], 500)).toEqual([false]);
    const before = await edge.names();
    const addresses = Array.from({ length: FIRST_CONNECTIONS }, (_, index) => nth(index + 1000));
    const reached = await edge.reach(addresses.map((address) => named(address)));
    expect(reached.filter((one) => !one)).toEqual([]);
    expect(reached).toHaveLength(FIRST_CONNECTIONS);
    const { admitted, figures } = await edge.names();
    const known = new Set(before.admitted.map(({ address }) => address));
    const fresh = admitted.filter(({ address }) => !known.has(address));
    expect(fresh.map(({ name, address }) => `${name} ${address}`).sort()).toEqual(
      addresses.map((address) => `*.names.test ${address}`).sort(),
    );
    const since = (figure: string): number => (figures[figure] ?? 0) - (before.figures[figure] ?? 0);
    expect([since("queries"), since("answers")]).toEqual([FIRST_CONNECTIONS, FIRST_CONNECTIONS]);
    expect(figures).toMatchObject({ unasked: 0, full: 0 });
  },
);

test("eight programs that ask at once are let through", async () => {
  const edge = await common();
  const programs = Array.from({ length: 8 }, (_, program) =>
    edge.reach(Array.from({ length: 25 }, (_, index) => named(nth(2000 + index + 25 * (program >> 1))))),
  );
  expect((await Promise.all(programs)).flat().filter((one) => !one)).toEqual([]);
});

test("a connection that was denied passes once its name is learned", async () => {
  const edge = await common();
  const address = nth(3000);
  // Its SYN comes again, with the same ports.
  const early = edge.reach([address]);
  await setTimeout(300);
  expect(await edge.reach([named(address)])).toEqual([true]);
  expect(await early).toEqual([true]);
});

test("an address goes when its time is over, unless a connection holds it", async () => {
  await using edge = await host(false, ["policy.names_min_ttl=1"]);
  const [held, left] = [nth(1), nth(2)];
  expect(await edge.reach([held, left].map((address) => named(address, "ttl-2.deep.test")))).toEqual([
    true,
    true,
  ]);
  // Its time may be over before it is looked at for the first time.
  expect(await edge.reach([named(held, "ttl-2.deep.test")])).toEqual([true]);
  await edge.hold(held);
  await edge.until(({ admitted }) => {
    const isHeld = admitted.some((one) => one.address === held && Date.parse(one.until) > Date.now() + 5000);
    return isHeld && !admitted.some(({ address }) => address === left);
  });
  expect(await edge.reach([held])).toEqual([true]);
  expect(await edge.reach([left], 500)).toEqual([false]);
});

test("what was learned holds after the agent was killed", async () => {
  const edge = await common();
  const address = nth(4000);
  expect(await edge.reach([named(address)])).toEqual([true]);
  await edge.until(({ admitted }) => admitted.some((one) => one.address === address));
  // It is saved each second.
  await setTimeout(2500);
  edge.agent.process.kill("SIGKILL");
  await edge.agent.process.exit;
  await edge.startAgent();
  expect((await edge.names()).admitted.map((one) => one.address)).toContain(address);
  expect(await edge.reach([address])).toEqual([true]);
  expect(await edge.reach([nth(4001)], 500)).toEqual([false]);
});

test("answers of other servers than the resolvers open nothing, and it is said", async () => {
  await using edge = await host(false, ['policy.resolvers=["192.0.2.53"]']);
  expect(await edge.reach([named(nth(1))], 500)).toEqual([false]);
  const { admitted, figures } = await edge.names();
  expect(admitted).toEqual([]);
  expect(figures).toMatchObject({ strangers: 1, queries: 0 });
  let health = "";
  while (!health.includes("went to other servers than the resolvers")) {
    health = await edge.agent.text("/api/v1/health");
    await setTimeout(100);
  }
});

test("a pinned policy learns names without the agent", async () => {
  const edge = await common();
  await using stack = new AsyncDisposableStack();
  const text = (await edge.policy("show", "default/names")).stdout;
  const file = join(edge.folder, "names.yaml");
  await writeFile(file, text);
  stack.defer(async () => {
    await edge.policy("reset", "--yes");
  });
  expect(await edge.policy("apply", "--pin", file)).toMatchObject({ code: 0 });
  edge.agent.process.kill("SIGKILL");
  await edge.agent.process.exit;
  expect(await edge.reach([nth(5001)], 500)).toEqual([false]);
  expect(await edge.reach([named(nth(5002))])).toEqual([true]);
  await edge.startAgent();
  expect((await edge.names()).admitted.map(({ address }) => address)).toContain(nth(5002));
  expect(await edge.reach([nth(5002), named(nth(5003))])).toEqual([true, true]);
});
