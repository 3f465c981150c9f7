/** `x0 policy check --against` and `x0 policy suggest` on what a running agent has recorded. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeEach, expect, test } from "vitest";
import {
  type Agent,
  type Namespace,
  type Outcome,
  pair,
  requireKernel,
  run,
  runX0,
  start,
  startAgent,
} from "./lab/index.ts";

beforeEach((context) => requireKernel(context, "netns", "bpf", "btf", "tcx"));

const PORT = 8080;
const CONNECTIONS = 5;
const only = (port: number, name = "web"): string =>
  `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: ${name}}
spec: {endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "${port}"}]}]}]}
`;

interface Host extends AsyncDisposable {
  policy(words: readonly string[], input?: string): Promise<Outcome>;
  readonly client: string;
  readonly agent: Agent;
  /** Where it runs. */
  readonly place: Namespace;
}

/** A host with an agent whose history has some connections of a client to its server. */
async function visitedHost(): Promise<Host> {
  const stack = new AsyncDisposableStack();
  const { client, server, left, right } = stack.use(await pair());
  const folder = await mkdtemp(join(tmpdir(), "x0-rehearse-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const settings = ["policy.node_name=edge-1"];
  const agent = stack.use(await startAgent({ places: server, folder, settings }));
  await agent.observes(2);
  const echo = `require("net").createServer((s) => s.end("hello\\n")).listen(${PORT}, () => console.log("listening"))`;
  stack.use(await start([process.execPath, "-e", echo], /listening/, { places: server }));
  const visit = `for (let n = 0; n < ${CONNECTIONS}; n++) require("net").connect(${PORT}, "${right.ipv4}").resume()`;
  await run([process.execPath, "-e", visit], { places: client });
  const policy: Host["policy"] = (words, input) =>
    runX0(["policy", ...words, "--data-dir", folder, "--set", ...settings], {
      ...(input === undefined ? {} : { input }),
    });
  // Records reach the history within a second or two.
  for (let told = 0; told < CONNECTIONS; await setTimeout(100))
    told = (await agent.get<{ flows: number }>("/api/v1/policy/suggest")).flows;
  return {
    policy,
    client: left.ipv4,
    agent,
    place: server,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** One for all tests: only the last of them applies something. */
let shared: Promise<Host> | undefined;
function host(): Promise<Host> {
  shared ??= visitedHost();
  return shared;
}
afterAll(async () => (await shared)?.[Symbol.asyncDispose]());

test("a policy is suggested from what was recorded, and drops nothing of it", async () => {
  const { policy, client } = await host();
  const { code, stdout: yaml, stderr } = await policy(["suggest", "--from", "1h"]);
  expect(code).toBe(0);
  expect(stderr).toMatch(/\d (?:s|min) were recorded: \d+ rules? allow/);
  expect(yaml).toContain(`- "${client}/32"`);
  expect(yaml).toMatch(
    new RegExp(`# ${CONNECTIONS} flows, the last at .*\\n.*fromCIDR:[^#]*port: "${PORT}"`),
  );

  const checked = await policy(["check", "-", "--against", "1h", "-o", "json"], yaml);
  expect(checked).toMatchObject({ code: 0, stderr: "" });
  const { rehearsal } = JSON.parse(checked.stdout);
  expect(rehearsal).toMatchObject({ denied: 0, groups: [], rules: [] });
  expect(rehearsal.judged).toBeGreaterThanOrEqual(CONNECTIONS);
  expect(rehearsal.hours).toBeGreaterThan(0);
  // Without its rules for what came in, all of that would be dropped.
  const closed = yaml.replace(/ {2}ingress:\n(?: {4}.*\n)+/, "  ingress:\n    - {}\n");
  expect(closed).not.toBe(yaml);
  expect(await policy(["check", "-", "--against", "1h"], closed)).toMatchObject({ code: 1 });
});

test("what would be dropped is told with the rule, the peer and the process", async () => {
  const { policy, client } = await host();
  const { code, stdout, stderr } = await policy(["check", "-", "--against", "1h"], only(22));
  expect(code).toBe(1);
  expect(stderr).toContain(`${CONNECTIONS} recorded connections would be dropped`);
  expect(stdout).toMatch(new RegExp(`\\n${CONNECTIONS} +default/web +spec.ingress +deny\\n`));
  expect(stdout).toMatch(
    new RegExp(
      `\\n${CONNECTIONS} +ingress +${client} +tcp/${PORT} +\\S*node\\S*.* +default/web spec.ingress +20`,
    ),
  );
  expect(await policy(["check", "-", "--against", "1h"], only(PORT))).toMatchObject({ code: 0 });
});

test("files are rehearsed beside what is applied, or alone", async () => {
  const { policy } = await host();
  expect(await policy(["apply", "--audit", "-"], only(22))).toMatchObject({ code: 0 });
  const rehearsed = async (file: string, ...words: string[]) => {
    const { stdout } = await policy(["check", "-", "--against", "1h", "-o", "json", ...words], file);
    const { denied, audited } = JSON.parse(stdout).rehearsal;
    return { denied, audited };
  };
  const outward = only(PORT, "other").replace("ingress", "egress");
  expect(await rehearsed(outward)).toEqual({ denied: 0, audited: CONNECTIONS });
  expect(await rehearsed(outward, "--alone")).toEqual({ denied: 0, audited: 0 });
  // Each allows a port: together they allow both.
  expect(await rehearsed(only(PORT, "other"))).toEqual({ denied: 0, audited: 0 });
  // In the place of the one that is applied, and not in audit.
  expect(await rehearsed(only(23, "web"))).toEqual({ denied: CONNECTIONS, audited: 0 });
  const wrong = await policy(["check", "-", "--against", "yesterday"], only(PORT));
  expect(wrong).toMatchObject({ code: 2 });
});

test("loopback is rehearsed without management, as the kernel then judges it", async () => {
  const { policy, agent, place } = await host();
  const connect = `console.log("asked"); require("net").connect(${PORT}, "127.0.0.1").resume()`;
  const visit = [process.execPath, "-e", connect];
  await run(visit, { places: place });
  const outward = only(22, "outward").replace("ingress", "egress");
  const rehearsed = async (...words: string[]) => {
    const { stdout } = await policy(
      ["check", "-", "--against", "1h", "--alone", "-o", "json", ...words],
      outward,
    );
    return JSON.parse(stdout).rehearsal;
  };
  let rehearsal = await rehearsed("--no-management");
  for (; rehearsal.denied === 0; await setTimeout(100)) rehearsal = await rehearsed("--no-management");
  expect(rehearsal.groups).toMatchObject([
    { direction: "egress", peer: { ip: "127.0.0.1" }, port: PORT, path: "spec.egress", flows: 1 },
  ]);
  const { denied, unasked } = await rehearsed();
  expect([denied, unasked.loopback]).toEqual([0, 1]);

  expect(await policy(["apply", "--no-management", "-"], outward)).toMatchObject({ code: 0 });
  await using _asking = await start(visit, /asked/, { places: place });
  interface Figures {
    readonly rules: readonly { policy: string; path: string; decision: string; flows: number }[];
  }
  const isDropped = async () => {
    const { rules } = await agent.get<Figures>("/api/v1/policy/figures");
    return rules.some(
      (one) => one.policy === "default/outward" && one.path === "spec.egress" && one.flows > 0,
    );
  };
  while (!(await isDropped())) await setTimeout(100);
});
