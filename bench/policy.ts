/**
 * Policies in the kernel and on recorded traffic. `swap_1000_rules_ms`: tables into force; `revoke_cutoff_ms`: from the
 * store that turns to a policy that denies a stream to its last packet let through; `rules_max`: so many took effect;
 * `ns_hot`: a packet of a known flow under 1,000 rules; `udp64_kept_100_rules`: as `flows-overhead`, with a policy.
 * Policies on recorded traffic: how long it takes to judge a million recorded flows (`check_1m_flows_s`), and how many
 * of them the policies that are suggested from them would drop (`suggest_denials`). The flows are written through the
 * history's own recorder and read back from its files, as after a restart; a policy of a thousand rules judges them.
 * First it asserts that each flow was looked at, and that the verdicts are those of the naive evaluator on a sample.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "@x0tta6bl4/core";
import { parseAddress } from "../packages/flows/src/address.ts";
import { type History, openHistory } from "../packages/flows/src/history/history.ts";
import { policyConfigSchema } from "../packages/flows/src/policy/config.ts";
import {
  rehearsalOf,
  type Surroundings,
  suggestionOf,
} from "../packages/flows/src/policy/rehearse/rehearsals.ts";
import {
  type Rehearsal,
  rehearseBodySchema,
  suggestQuerySchema,
} from "../packages/flows/src/policy/rehearse/schema.ts";
import { recordedIn } from "../packages/flows/src/policy/rehearse/testing/recorded-in.ts";
import { worldOf } from "../packages/flows/src/policy/world.ts";
import { readBatch } from "../packages/flows/src/recording/record.ts";
import { type RecordTraffic, recordTraffic } from "../packages/flows/src/testing/record-traffic.ts";
import type { Agent, Namespace } from "../test/lab/index.ts";
import { overhead } from "./flows-overhead.ts";
import type { Bench, BenchOptions } from "./lib/bench.ts";
import { hundredRules, inKernel, revoked } from "./lib/policy-kernel.ts";
import { median, round } from "./lib/statistics.ts";

const FLOWS_PER_SECOND = 2000;
const START_MS = Date.UTC(2026, 10, 1);
const RULES = 1000;
const MILLION = 1_000_000;
const signal = new AbortController().signal;

export const run: Bench = async (options) => ({
  ...(await inKernel(options)),
  ...(await revoked(options)),
  ...(await rehearsed(options)),
  udp64_kept_100_rules: (await overhead(options, applyHundredRules))["udp64_kept"] ?? null,
});

async function applyHundredRules(agent: Agent, sender: Namespace): Promise<void> {
  const [address = ""] = await sender.addresses("eth0");
  const files = [{ name: "hundred.yaml", text: hundredRules(address) }];
  await agent.post("/api/v1/policy/apply", { files });
}

async function rehearsed({ quick, seed, note }: BenchOptions): Promise<Record<string, number>> {
  const wanted = quick ? 100_000 : MILLION;
  const folder = mkdtempSync(join(tmpdir(), "x0-policy-"));
  try {
    const traffic = recordTraffic({ seed, startMs: START_MS, flowsPerSecond: FLOWS_PER_SECOND });
    const written = open(folder, traffic);
    while (traffic.flows < wanted) written.take(readBatch(traffic.next()), []);
    await written.close(60_000);
    const history = open(folder, traffic);
    const surroundings = surroundingsOf(history, traffic);
    const body = rehearseBodySchema.parse({
      since: new Date(START_MS).toISOString(),
      files: [{ name: "bench.yaml", text: manyRules() }],
    });
    const times: number[] = [];
    let last: Rehearsal | undefined;
    for (let index = 0; index < 3; index++) {
      const cpu = process.cpuUsage();
      const began = performance.now();
      last = await rehearsalOf(surroundings, body, signal);
      times.push((performance.now() - began) / 1000);
      const { user, system } = process.cpuUsage(cpu);
      note(
        `${looked(last)} flows in ${round(times.at(-1) ?? 0)} s, ${round((user + system) / 1e6)} s of a processor; ${last.denied} of ${last.judged} denied`,
      );
    }
    if (last === undefined || looked(last) !== traffic.flows)
      throw new Error(`${traffic.flows} flows were written, ${last && looked(last)} were looked at`);
    if (last.denied === 0 || last.denied === last.judged)
      throw new Error(`${last.denied} of ${last.judged} flows were denied: the policy decided nothing`);
    const denials = await denialsOfSuggestion(surroundings, last, note);
    await history.close(1000);
    return {
      check_1m_flows_s: round((median(times) * MILLION) / traffic.flows),
      suggest_denials: denials,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function denialsOfSuggestion(
  surroundings: Surroundings,
  { judged }: Rehearsal,
  note: (line: string) => void,
): Promise<number> {
  const since = new Date(START_MS).toISOString();
  const began = performance.now();
  const { yaml, flows, policies } = await suggestionOf(
    surroundings,
    suggestQuerySchema.parse({ since }),
    signal,
  );
  const seconds = (performance.now() - began) / 1000;
  const rules = policies.reduce((sum, policy) => sum + policy.rules.length, 0);
  note(
    `suggested ${rules} rules in ${policies.length} policies, ${Math.round(yaml.length / 1024)} KB, in ${round(seconds)} s`,
  );
  const checked = await rehearsalOf(
    surroundings,
    rehearseBodySchema.parse({ since, files: [{ name: "suggested.yaml", text: yaml }] }),
    signal,
  );
  if (checked.judged !== judged || flows !== judged)
    throw new Error(`${judged} flows were judged, ${flows} suggested from, ${checked.judged} checked`);
  // What was not recorded is denied: the policies are on.
  if (checked.attempts.denied === 0) throw new Error("not one scan would be dropped");
  return checked.denied;
}

/** Every flow that was met, whatever became of it. */
function looked({ judged, attempts, unasked }: Rehearsal): number {
  return judged + attempts.judged + Object.values(unasked).reduce((sum, count) => sum + count, 0);
}

function open(folder: string, traffic: RecordTraffic): History {
  const clock: Clock = {
    nowMs: () => traffic.nowMs,
    monotonicNs: () => BigInt(traffic.nowMs) * 1_000_000n,
  };
  return openHistory({
    folder,
    maxBytes: 10e9,
    maxAgeMs: 30 * 24 * 3_600_000,
    run: START_MS,
    clock,
    maxFlows: 262_144,
  });
}

function surroundingsOf(history: History, traffic: RecordTraffic): Surroundings {
  const config = policyConfigSchema.parse({
    node_name: "edge-1",
    members: [10, 11, 12].map((host) => ({
      name: `db-${host}`,
      labels: { role: "db" },
      addresses: [`10.0.1.${host}`],
    })),
  });
  const addresses = ["127.0.0.1", "198.51.100.7", "2001:db8:7::7"].flatMap((ip) => parseAddress(ip) ?? []);
  return {
    config,
    recorded: recordedIn(history),
    documents: [],
    world: worldOf(config, { addresses, workloads: [], names: () => [] }),
    nowMs: traffic.nowMs,
    netns: 4_026_531_840,
  };
}

/** Names, members, prefixes within prefixes, ports: of some flows each decides something. */
function manyRules(): string {
  const egress = Array.from({ length: RULES / 2 }, (_, index) =>
    index % 3 === 0
      ? `{toFQDNs: [{matchPattern: "*.service-${index % 37}.example"}], toPorts: [{ports: [{port: "${index % 6 === 0 ? 443 : index}"}]}]}`
      : `{toCIDR: ["203.0.${index % 100}.0/${24 + (index % 8)}"], toPorts: [{ports: [{port: "${1 + index}", endPort: ${2 * index + 1}}]}]}`,
  );
  const ingress = Array.from({ length: RULES / 2 }, (_, index) =>
    index % 4 === 0
      ? `{fromCIDR: ["${20 + (index % 180)}.0.0.0/8"], toPorts: [{ports: [{port: "${index % 8 === 0 ? 443 : 80}"}]}]}`
      : `{fromCIDR: ["10.0.${index % 256}.0/24"], toPorts: [{ports: [{port: "${9000 + index}"}]}]}`,
  );
  return `apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: bench}
spec:
  endpointSelector: {}
  ingress: [${ingress.join(",\n    ")}]
  egress: [{toNodes: [{matchLabels: {role: db}}]}, ${egress.join(",\n    ")}]
`;
}
