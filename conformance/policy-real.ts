/**
 * Policies on a real network: each field of the language allows one connection and denies another, by nginx and curl,
 * a resolver and dig, iperf3 and ping, in both directions and over both IP versions; and the figures name the rule that
 * decided, default deny among them. Without a policy all of these connections succeed.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { type Agent, isInstalled, missingKernel, runX0, startAgent } from "../test/lab/index.ts";
import type { ConformanceOptions, ConformanceResult } from "./lib/conformance.ts";
import { fields as allFields, type Expected, type Field, MANAGEMENT } from "./lib/policy-fields.ts";
import { type Attempt, attemptsOf, type PolicyNet, policyNet, programs, units } from "./lib/policy-net.ts";

/** So many connections at a time without policies. */
const AT_ONCE = 8;
/** The kernel's table is read once a second. */
const FIGURES_WITHIN_MS = 20_000;

export async function run({ quick }: ConformanceOptions): Promise<ConformanceResult> {
  for (const [program, debian] of Object.entries(programs))
    if (!(await isInstalled(program)))
      return { outcome: "skipped", reason: `${program} is not installed (Debian: ${debian})` };
  const lack = await missingKernel("netns", "nftables", "bpf", "btf", "tcx", "cgroup2");
  if (lack !== undefined) return { outcome: "skipped", reason: lack };
  const fields = quick ? allFields.map(overOneVersion) : allFields;
  await using net = await policyNet();
  await using agent = await startAgent({ places: net.edge, settings: settingsOf(net) });
  await agent.observes(3);
  const differences = await withoutPolicies(net, fields);
  if (differences.length === 0) {
    for (const field of fields) differences.push(...(await tryField(net, agent, field)));
    differences.push(...(await compareFigures(agent, fields)), ...(await byCommand(net, agent, fields)));
  }
  if (differences.length > 0) return { outcome: "failed", reason: differences.join("; ") };
  const count = fields.flatMap(linesOf).flatMap(attemptsOf).length;
  return { outcome: "passed", reason: `${fields.length} fields, ${count} connections` };
}

/** By turns over IPv4 and IPv6: half of the connections. */
function overOneVersion(field: Field, index: number): Field {
  const { first = {}, allowed, denied } = field;
  const narrow = (lines: Expected): Expected =>
    Object.fromEntries(
      Object.entries(lines).map(([line, path]) => [
        / ipv[46]$/.test(line) ? line : `${line} ${index % 2 === 0 ? "ipv4" : "ipv6"}`,
        path,
      ]),
    );
  return { ...field, first: narrow(first), allowed: narrow(allowed), denied: narrow(denied) };
}

const linesOf = ({ first = {}, allowed, denied }: Field): string[] =>
  [first, allowed, denied].flatMap((some) => Object.keys(some));

function settingsOf(net: PolicyNet): string[] {
  const member = (name: string, labels: string): string => {
    const { ipv4, ipv6 } = net.addresses(name);
    return `{name = "${name}", labels = {${labels}}, addresses = ["${ipv4}", "${ipv6}"]}`;
  };
  return [
    "flows.hubble_listen=off",
    "flows.hubble_relay_listen=off",
    "policy.node_name=edge",
    'policy.node_labels={role = "db"}',
    `policy.members=[${member("near", 'role = "web", zone = "a"')}, ${member("mate", 'role = "cache", zone = "b"')}]`,
    `policy.workloads=[{unit = "${units.app}", labels = {tier = "front"}}]`,
    'policy.named_ports={web = "tcp:8080"}',
    "policy.management_ports=tcp:8082",
    `policy.resolvers=${net.resolvers.join(",")}`,
  ];
}

const textOf = ({ from, to, service, version }: Attempt): string => `${from} > ${to} ${service} ${version}`;

/** Else what is denied later would prove nothing. */
async function withoutPolicies(net: PolicyNet, fields: readonly Field[]): Promise<string[]> {
  const all = new Map(
    fields
      .flatMap(linesOf)
      .flatMap(attemptsOf)
      .map((attempt) => [textOf(attempt), attempt]),
  );
  const waiting = [...all.values()];
  const failed: string[] = [];
  const work = async (): Promise<void> => {
    for (let attempt = waiting.pop(); attempt !== undefined; attempt = waiting.pop())
      if (!(await net.succeeds(attempt, true))) failed.push(`${textOf(attempt)} fails without a policy`);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return failed;
}

async function tryField(net: PolicyNet, agent: Agent, field: Field): Promise<string[]> {
  const { name, text, audit = false, management = true } = field;
  await agent.post("/api/v1/policy/apply", { files: [{ name: `${name}.yaml`, text }], audit, management });
  const differences = await connections(net, field);
  const { documents } = await agent.get<{ documents: readonly { name: string }[] }>("/api/v1/policy");
  await agent.post("/api/v1/policy/delete", { names: documents.map((document) => document.name) });
  return differences;
}

async function connections(net: PolicyNet, { name, first = {}, allowed, denied }: Field): Promise<string[]> {
  const attempt = async (line: Expected, isAllowed: boolean): Promise<string[]> => {
    const results = Object.keys(line)
      .flatMap(attemptsOf)
      .map(async (one) => {
        const passed = await net.succeeds(one, isAllowed);
        return passed === isAllowed ? [] : [`${name}: ${textOf(one)} ${passed ? "succeeds" : "fails"}`];
      });
    return (await Promise.all(results)).flat();
  };
  return [
    ...(await attempt(first, true)),
    ...(await Promise.all([attempt(allowed, true), attempt(denied, false)])).flat(),
  ];
}

/** The figures name the deciding rules, and no other; each denied connection is among them. */
async function compareFigures(agent: Agent, fields: readonly Field[]): Promise<string[]> {
  const wanted = new Map<string, number>();
  for (const { name, text, audit, first = {}, allowed, denied } of fields)
    for (const [some, decision] of [
      [first, "allow"],
      [allowed, audit === true ? "audit" : "allow"],
      [denied, "deny"],
    ] as const)
      for (const [line, path] of Object.entries(some)) {
        if (path === "") continue;
        const policy = text.includes("kind: CiliumNetworkPolicy") ? `default/${name}` : name;
        const key = path === MANAGEMENT ? ` allow` : `${policy} ${path} ${decision}`;
        // The last packets of what was allowed may meet the next policy, whose verdict is the flow's then.
        wanted.set(key, decision === "deny" ? (wanted.get(key) ?? 0) + attemptsOf(line).length : 1);
      }
  const deadline = performance.now() + FIGURES_WITHIN_MS;
  for (;;) {
    const { rules } = await agent.get<{ rules: readonly RuleFigures[] }>("/api/v1/policy/figures");
    const told = new Map(
      rules.map(({ policy, path, decision, flows }) => [
        policy === "" ? ` ${decision}` : `${policy} ${path} ${decision}`,
        flows,
      ]),
    );
    const differences = [
      ...[...wanted].flatMap(([key, count]) =>
        (told.get(key) ?? 0) >= count ? [] : [`figures: ${told.get(key) ?? 0} of ${count} flows ${key}`],
      ),
      ...[...told.keys()].filter((key) => !wanted.has(key)).map((key) => `figures: nobody expects ${key}`),
    ];
    if (differences.length === 0 || performance.now() > deadline) return differences;
    await setTimeout(200);
  }
}

/** One field once more, by `x0 policy` from a file; `show` tells what it decided. */
async function byCommand(net: PolicyNet, agent: Agent, fields: readonly Field[]): Promise<string[]> {
  const field = fields.find(({ name }) => name === "specs") as Field;
  const file = join(agent.folder, "specs.yaml");
  await writeFile(file, field.text);
  const policy = async (...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await runX0(["policy", ...words, "--data-dir", agent.folder]);
    if (code !== 0) throw new Error(`x0 policy ${words.join(" ")}: ${stderr}`);
    return stdout;
  };
  const shown = async (): Promise<{ description: string; figures: readonly RuleFigures[] }> =>
    JSON.parse(await policy("show", "default/specs", "-o", "json"));
  await policy("apply", file);
  const before = await shown();
  const differences = await connections(net, field);
  const deadline = performance.now() + FIGURES_WITHIN_MS;
  const counted = ({ figures }: typeof before): number => figures.reduce((sum, { flows }) => sum + flows, 0);
  const made = linesOf(field).flatMap(attemptsOf).length;
  while (counted(await shown()) < counted(before) + made)
    if (performance.now() > deadline) return [...differences, "x0 policy show does not tell the connections"];
  await policy("delete", "default/specs");
  return before.description === "who may ask" ? differences : [...differences, `"${before.description}"`];
}

interface RuleFigures {
  readonly policy: string;
  readonly path: string;
  readonly decision: string;
  readonly flows: number;
}
