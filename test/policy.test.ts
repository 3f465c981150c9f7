/** `x0 policy` against a running agent and a real kernel: what it says, and what packets do. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import {
  type Agent,
  missingKernel,
  type Outcome,
  openSockets,
  type Place,
  pair,
  type Running,
  requireKernel,
  run,
  runX0,
  start,
  startAgent,
} from "./lab/index.ts";

const needs = ["netns", "nftables", "bpf", "btf", "tcx"] as const;
beforeEach((context) => requireKernel(context, ...needs));

const PORT = 8080;
const x0 = fileURLToPath(new URL("../packages/node/bin/x0.mjs", import.meta.url));

const policy = (name: string, spec: string): string =>
  `apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: ${name}}\nspec: ${spec}\n`;
const denyAll = policy("deny-all", "{endpointSelector: {}, ingress: [{}], egress: [{}]}");
const allowPort = (port: number, name = "web"): string =>
  policy(name, `{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "${port}"}]}]}]}`);
/** So long a new connection is waited for that nobody answers. */
const PATIENCE_MS = 400;

interface Host extends AsyncDisposable {
  readonly folder: string;
  readonly agent: Agent;
  readonly address: string;
  /** `x0 policy` with words and what stands on its standard input. */
  policy(words: readonly string[], input?: string, environment?: Record<string, string>): Promise<Outcome>;
  /** As `policy`; its one line of JSON. @throws unless it ends with 0 */
  json<T>(words: readonly string[], input?: string): Promise<T>;
  /** Whether a new connection to the host's server gets its greeting. */
  isReached(patienceMs?: number): Promise<boolean>;
  /** A connection that answers each line, until it ends. */
  session(): Promise<Running>;
  /** In the place of the one that has ended. */
  restart(settings?: readonly string[]): Promise<void>;
  /** Its namespace. */
  readonly place: Place;
}

/** A host with an agent and a server, and a client beside it. */
async function openHost(): Promise<Host> {
  await using stack = new AsyncDisposableStack();
  const { client, server, right } = stack.use(await pair());
  const folder = await mkdtemp(join(tmpdir(), "x0-policy-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const near = stack.use(await openSockets(client));
  const echo = `require("net").createServer((s) => (s.on("error", () => {}), s.write("hello\\n"), s.pipe(s))).listen(${PORT}, () => console.log("listening"))`;
  stack.use(await start([process.execPath, "-e", echo], /listening/, { places: server }));
  const agents = stack.use(new AsyncDisposableStack());
  const up = async (settings: readonly string[] = []): Promise<Agent> => {
    const options = { places: server, folder, settings: ["policy.node_name=edge-1", ...settings] };
    const started = agents.use(await startAgent(options));
    await started.observes(2);
    return started;
  };
  let agent = await up();
  const command: Host["policy"] = (words, input, environment = {}) =>
    runX0(["policy", ...words, "--data-dir", folder, "--set", "policy.node_name=edge-1"], {
      ...(input === undefined ? {} : { input }),
      environment,
    });
  const owned = stack.move();
  return {
    folder,
    get agent() {
      return agent;
    },
    address: right.ipv4,
    policy: command,
    async json(words, input) {
      const { code, stdout, stderr } = await command([...words, "-o", "json"], input);
      expect(stderr + code).toBe("0");
      return JSON.parse(stdout);
    },
    isReached: (patienceMs = 20_000) => near.isGreeted({ host: right.ipv4, port: PORT }, "hello", patienceMs),
    session: async () => {
      const script = `const s = require("net").connect(${PORT}, "${right.ipv4}", () => console.log("from", s.localAddress, s.localPort)); s.on("data", (d) => process.stdout.write("got " + d)); process.stdin.on("data", (d) => s.write(d)); setInterval(() => s.write("still there\\n"), 100)`;
      return owned.use(
        await start([process.execPath, "-e", script], /from (\S+) (\d+)[\s\S]*got hello/, { places: client }),
      );
    },
    async restart(settings) {
      agent = await up(settings);
    },
    place: server,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface Applied {
  readonly documents: readonly unknown[];
}

/** One for all tests, without a policy at each one's beginning. */
let edge: Host;
beforeAll(async () => {
  if ((await missingKernel(...needs)) === undefined) edge = await openHost();
});
afterAll(() => edge?.[Symbol.asyncDispose]());
afterEach(() => edge?.agent.post("/api/v1/policy/reset", {}));

test("policies are applied, listed, shown and deleted, and packets follow", async () => {
  expect((await edge.policy(["list"])).stderr).toBe("no policy is applied\n");
  expect(await edge.isReached()).toBe(true);
  const applied = await edge.policy(["apply", "-"], allowPort(22));
  expect(applied).toMatchObject({ code: 0, stdout: "added      default/web\ngeneration 1\n" });
  expect(await edge.isReached(PATIENCE_MS)).toBe(false);
  expect(await edge.json(["apply", "-"], allowPort(PORT))).toMatchObject({ changed: ["default/web"] });
  expect(await edge.isReached()).toBe(true);

  const listed = await edge.policy(["list"]);
  expect(listed.stdout).toMatch(
    /^NAME +KIND +MODE +SELECTS +RULES +APPLIED\ndefault\/web +CiliumNetworkPolicy +enforce +this node(?:, \d+ workloads?)? +1 \(ingress\)/,
  );
  expect(listed.stderr).toBe("generation 2 is in force\n");
  const shown = await edge.policy(["show", "default/web"]);
  expect(shown.stdout).toBe(allowPort(PORT));
  type Figures = { rules: { policy: string; path: string; decision: string; packets: number }[] };
  let figures: Figures["rules"] = [];
  while (!figures.some(({ decision }) => decision === "allow")) {
    figures = (await edge.agent.get<Figures>("/api/v1/policy/figures")).rules;
    await setTimeout(100);
  }
  expect(figures).toContainEqual(
    expect.objectContaining({ policy: "default/web", path: "spec.ingress", decision: "deny" }),
  );
  expect(figures).toContainEqual(
    expect.objectContaining({ policy: "default/web", path: "spec.ingress[0]", decision: "allow" }),
  );

  expect(await edge.json(["apply", "-"], allowPort(22))).toMatchObject({ generation: 3 });
  expect(await edge.isReached(PATIENCE_MS)).toBe(false);
  expect(await edge.policy(["delete", "default/web"])).toMatchObject({
    code: 0,
    stdout: "removed    default/web\ngeneration 4\n",
  });
  expect(await edge.isReached()).toBe(true);
});

test("in audit nothing is denied, and what would have been is told", async () => {
  await edge.json(["apply", "--audit", "-"], allowPort(22, "audited"));
  expect(await edge.isReached()).toBe(true);
  type Recorded = { flows: readonly unknown[] };
  while ((await edge.agent.get<Recorded>("/api/v1/flows?verdict=audit&since=1h")).flows.length === 0)
    await setTimeout(20);
  let told = "";
  while (!told.includes("DIRECTION")) told = (await edge.policy(["audit"])).stdout;
  expect(told).toMatch(
    /^Since the agent's start\nPOLICY +RULE +DECISION +FLOWS +PACKETS +BYTES\ndefault\/audited +spec.ingress +audit +1 /,
  );
  expect(told).toMatch(
    new RegExp(
      `\\nConnections since 24h\\nFLOWS .*\\n1 +\\S+ \\S+ +ingress +node +\\S+ +${PORT} tcp +default/audited spec.ingress\\n`,
    ),
  );
});

test("what denies everything ends other connections and leaves the one over which it was applied", async () => {
  await using session = await edge.session();
  await using other = await edge.session();
  const [, ip = "", port = ""] = session.ready;
  const over = { SSH_CONNECTION: `${ip} ${port} ${edge.address} ${PORT}` };
  const words = ["apply", "--no-management", "--confirm-within", "2m", "-"];
  expect(await edge.policy(words, denyAll, over)).toMatchObject({
    code: 0,
    stderr: expect.stringContaining("falls back in 120 s unless confirmed"),
  });
  expect(await edge.isReached(PATIENCE_MS)).toBe(false);
  const ended = other.output();
  await session.waitFor(new RegExp(`[\\s\\S]{${session.output().length + 100}}`));
  expect(other.output()).toBe(ended);
  // All that was while it held.
  expect((await edge.policy(["list"])).stderr).toMatch(/is in force; it falls back in \d+ s/);
});

test("what nobody confirms falls back by itself", async () => {
  expect((await edge.policy(["apply", "--confirm-within", "3s", "-"], denyAll)).code).toBe(0);
  expect(await edge.isReached(PATIENCE_MS)).toBe(false);
  // Each asks anew: the kernel asks again only after one second, then two, then four.
  while (!(await edge.isReached(PATIENCE_MS)));
  while ((await edge.agent.get<Applied>("/api/v1/policy")).documents.length > 0) await setTimeout(20);
  expect(await edge.policy(["confirm"])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("no policy waits for its confirmation"),
  });
});

test("on a terminal the question decides: yes keeps, anything else goes back at once", async () => {
  const file = join(edge.folder, "web.yaml");
  writeFileSync(file, allowPort(22));
  const answer = async (word: string): Promise<Pick<Outcome, "code" | "stdout">> => {
    const words = ["policy", "apply", file, "--confirm-within", "5m", "--data-dir", edge.folder];
    // script(1) gives it a terminal, on which its own input is typed.
    const command = [process.execPath, x0, ...words].join(" ");
    const child = spawn("script", ["-qec", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
    let stdout = "";
    let isAnswered = false;
    for await (const text of child.stdout.setEncoding("utf8")) {
      stdout += text;
      if (isAnswered || !stdout.includes("Keep this?")) continue;
      child.stdin.write(`${word}\n`);
      isAnswered = true;
    }
    if (child.exitCode === null) await once(child, "exit");
    return { code: child.exitCode, stdout };
  };
  expect(await answer("no")).toMatchObject({
    code: 1,
    stdout: expect.stringContaining("not confirmed: what held before holds again"),
  });
  expect(await edge.isReached()).toBe(true);
  expect(await answer("yes")).toMatchObject({ code: 0, stdout: expect.stringContaining("kept") });
  expect(await edge.isReached(PATIENCE_MS)).toBe(false);
  expect((await edge.policy(["list"])).stderr).toMatch(/^generation \d+ is in force\n$/);
});

test("the API applies, tells the countdown, reverts and confirms, with the token alone", async () => {
  const { url, folder } = edge.agent;
  const token = readFileSync(join(folder, "token"), "utf8").trim();
  const ask = async (verb: string, body: unknown, bearer = token): Promise<[number, unknown]> => {
    const command = `fetch("${url.origin}/api/v1/policy/${verb}", {method: "POST", headers: {authorization: "Bearer ${bearer}", "content-type": "application/json"}, body: process.argv[1]}).then(async (r) => console.log(JSON.stringify([r.status, await r.json()])))`;
    const { stdout } = await run([process.execPath, "-e", command, JSON.stringify(body)], {
      places: edge.place,
    });
    return JSON.parse(stdout) as [number, unknown];
  };
  const files = [{ name: "web.yaml", text: allowPort(22) }];
  expect(await ask("apply", { files }, "wrong")).toMatchObject([401, {}]);
  type Generations = { generations: { generation: number; state: string }[] };
  const generations = async (): Promise<Generations["generations"]> =>
    (await edge.agent.get<Generations>("/api/v1/policy/generations")).generations;
  const first = ((await generations())[0]?.generation ?? 0) + 1;
  expect(await ask("apply", { files, confirmWithinSeconds: 60 })).toMatchObject([
    200,
    { generation: first, waiting: true },
  ]);
  type State = { waiting: { secondsLeft: number; documents: string[] } | null };
  const state = await edge.agent.get<State>("/api/v1/policy/state");
  expect(state.waiting?.documents).toEqual(["default/web"]);
  expect(state.waiting?.secondsLeft).toBeGreaterThan(0);
  expect(state.waiting?.secondsLeft).toBeLessThanOrEqual(60);
  expect(await ask("apply", { files })).toMatchObject([
    500,
    { error: { code: "X0_FLOWS_POLICY_UNCONFIRMED" } },
  ]);
  expect(await ask("revert", {})).toEqual([200, { generation: first }]);
  expect(await edge.isReached()).toBe(true);
  await ask("apply", { files, confirmWithinSeconds: 60 });
  expect(await ask("confirm", {})).toEqual([200, { generation: first + 1 }]);
  expect(await edge.isReached(PATIENCE_MS)).toBe(false);
  expect(await edge.agent.text("/metrics")).toMatch(
    new RegExp(`^x0tta6bl4_policy_generation ${first + 1}$`, "m"),
  );
  expect(await ask("delete", { names: ["default/web"] })).toMatchObject([200, { removed: ["default/web"] }]);
  const [latest, before, earlier] = await generations();
  expect([latest, before, earlier]).toMatchObject([
    { generation: first + 2, state: "confirmed" },
    { generation: first + 1, state: "confirmed" },
    { generation: first, state: "reverted" },
  ]);
});

test("the next agent puts in force what was confirmed, and nothing that was not", async () => {
  const { generation } = await edge.json<{ generation: number }>(["apply", "-"], allowPort(22));
  const { code } = await edge.policy(["apply", "--confirm-within", "60s", "-"], allowPort(PORT));
  expect(code).toBe(0);
  expect(await edge.isReached()).toBe(true);
  edge.agent.process.kill("SIGKILL");
  await edge.agent.process.exit;
  await edge.restart();
  expect(await edge.isReached(PATIENCE_MS)).toBe(false);
  expect((await edge.policy(["list"])).stderr).toBe(`generation ${generation} is in force\n`);
  expect(await edge.agent.text("/api/v1/health")).toContain(`generation ${generation}: 1 document`);
});

test("reset ends all, with an agent and without one", async () => {
  await edge.json(["apply", "-"], denyAll);
  expect(await edge.policy(["reset"], "no\n")).toMatchObject({ code: 1, stdout: "" });
  expect(await edge.isReached(PATIENCE_MS)).toBe(false);
  expect(await edge.policy(["reset"], "yes\n")).toMatchObject({
    code: 0,
    stdout: "no policy is applied: 1 document removed by the agent\n",
  });
  expect(await edge.isReached()).toBe(true);
  await edge.json(["apply", "-"], denyAll);
  await edge.agent.stop();
  expect(await edge.json(["reset", "--yes"])).toEqual({ agent: false, removed: 1, unpinned: 0 });
  await edge.restart();
  expect(await edge.isReached()).toBe(true);
  expect(await edge.agent.get("/api/v1/policy")).toMatchObject({ documents: [] });
});

test.each([
  [
    "what Cilium would not take",
    ["apply", "-"],
    denyAll.replace("ingress", "ingres"),
    1,
    "no such field here (did you mean ingress?)",
  ],
  [
    "what is not enforced",
    ["apply", "-"],
    denyAll.replace("[{}]", '[{toPorts: [{ports: [{port: "80"}], rules: {http: [{}]}}]}]'),
    3,
    "layer 7 is not judged",
  ],
  ["no YAML at all", ["apply", "-"], "a: [", 1, "standard input:1"],
  [
    "a file that is not there",
    ["apply", "/nonexistent.yaml"],
    undefined,
    1,
    "/nonexistent.yaml does not exist",
  ],
  ["no file", ["apply"], undefined, 2, "x0: "],
  ["a time that is none", ["apply", "-", "--confirm-within", "soon"], denyAll, 2, '"soon" is not a duration'],
  [
    "a time that is over at once",
    ["apply", "-", "--confirm-within", "10ms"],
    denyAll,
    2,
    "write a time from 1s to 24h",
  ],
  ["a name that nobody has", ["delete", "default/nobody"], undefined, 2, "no policy is named default/nobody"],
  ["a document that nobody applied", ["show", "nobody"], undefined, 2, "no policy is named nobody"],
  ["nothing to confirm", ["confirm"], undefined, 1, "no policy waits"],
  ["nothing to revert", ["revert"], undefined, 1, "no policy waits"],
])("%s is refused: x0 policy %j", async (_, words, input, code, complaint) => {
  const outcome = await edge.policy(words, input);
  expect(outcome).toMatchObject({ code, stdout: "", stderr: expect.stringContaining(complaint) });
  expect(await edge.agent.get<Applied>("/api/v1/policy")).toMatchObject({ documents: [] });
});

test("management ports stay reachable, from their sources, unless that is refused", async () => {
  const managed = async (source: string): Promise<void> => {
    await edge.agent.stop();
    await edge.restart([`policy.management_ports=tcp:${PORT}`, `policy.management_sources=${source}`]);
  };
  await managed("10.77.0.0/16");
  await edge.json(["apply", "-"], denyAll);
  expect(await edge.isReached()).toBe(true);
  await edge.json(["apply", "--no-management", "-"], denyAll);
  expect(await edge.isReached(PATIENCE_MS)).toBe(false);
  await managed("192.0.2.0/24");
  await edge.json(["apply", "-"], denyAll);
  expect(await edge.isReached(PATIENCE_MS)).toBe(false);
});

test("where packets are not observed policies are kept, and it is said that they are not in force", async () => {
  await using agent = await startAgent({ settings: ["flows.enabled=false"] });
  const at = (words: readonly string[], input?: string) =>
    runX0(["policy", ...words, "--data-dir", agent.folder], input === undefined ? {} : { input });
  expect(await at(["apply", "-"], denyAll)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("added"),
    stderr: "warning: stored, not in force: turned off by flows.enabled\n",
  });
  expect((await at(["list"])).stderr).toBe(
    "generation 1 is stored, not in force: turned off by flows.enabled\n",
  );
  expect(await at(["apply", "-", "--confirm-within", "60s"], allowPort(22))).toMatchObject({
    code: 3,
    stderr: expect.stringContaining("nothing could fall back: turned off by flows.enabled"),
  });
  expect(await agent.get("/api/v1/health")).toMatchObject({
    parts: expect.arrayContaining([
      {
        name: "policy",
        state: "degraded",
        features: [
          {
            name: "enforcement",
            state: "degraded",
            reason: "1 document stored, not in force: turned off by flows.enabled",
            hint: "set flows.enabled = true",
          },
        ],
      },
    ]),
  });
});

test("without an agent everything but check and reset says so; check takes what it is given", async () => {
  const folder = await mkdtemp(join(tmpdir(), "x0-policy-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const at = (words: readonly string[], input?: string) =>
    runX0(["policy", ...words, "--data-dir", folder], input === undefined ? {} : { input });
  for (const words of [["list"], ["show", "a"], ["delete", "a"], ["audit"], ["confirm"], ["apply", "-"]])
    expect(await at(words, denyAll)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("no agent runs"),
    });
  const checked = await at(["check", "-", "-o", "json"], denyAll);
  expect(checked.code).toBe(0);
  expect(JSON.parse(checked.stdout)).toMatchObject({
    valid: true,
    documents: [{ name: "default/deny-all", selects: { thisNode: true } }],
    problems: [],
  });
  expect(
    await at(["check", "-"], policy("p", "{endpointSelector: {matchLabels: {a: b}}, ingress: [{}]}")),
  ).toMatchObject({
    code: 0,
    stderr: expect.stringContaining("warning: selects no node, and no workload that runs here"),
  });
  const wrong = await at(["check", "-", "-o", "json"], denyAll.replace("ingress", "ingres"));
  expect(wrong.code).toBe(1);
  expect(JSON.parse(wrong.stdout)).toMatchObject({
    valid: false,
    problems: [{ severity: "malformed", file: "standard input", document: 1, path: "spec.ingres" }],
  });
});
