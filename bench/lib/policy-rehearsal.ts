/**
 * Recorded traffic through policies. A million flows are written through the history's own recorder and read back from
 * its files, as after a restart; a policy of a thousand rules judges them. First it asserts that each flow was looked
 * at, and that of some seconds of it as many are denied as the naive evaluator denies.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "@x0tta6bl4/core";
import { parseAddress } from "../../packages/flows/src/address.ts";
import type { Flow } from "../../packages/flows/src/flow.ts";
import { type History, openHistory } from "../../packages/flows/src/history/history.ts";
import { readAll } from "../../packages/flows/src/history/testing/simulated.ts";
import { compilerHere } from "../../packages/flows/src/policy/compiler/compiler.ts";
import { policyConfigSchema } from "../../packages/flows/src/policy/config.ts";
import { createReader } from "../../packages/flows/src/policy/documents.ts";
import { evaluate } from "../../packages/flows/src/policy/evaluate.ts";
import { NODE_ENDPOINT, type World } from "../../packages/flows/src/policy/model.ts";
import {
  rehearsalOf,
  type Surroundings,
  suggestionOf,
} from "../../packages/flows/src/policy/rehearse/rehearsals.ts";
import {
  type Rehearsal,
  rehearseBodySchema,
  suggestQuerySchema,
} from "../../packages/flows/src/policy/rehearse/schema.ts";
import { recordedIn } from "../../packages/flows/src/policy/rehearse/testing/recorded-in.ts";
import { workloadName } from "../../packages/flows/src/policy/workloads/name.ts";
import { worldOf } from "../../packages/flows/src/policy/world.ts";
import { protocolNumber } from "../../packages/flows/src/protocols.ts";
import { readBatch } from "../../packages/flows/src/recording/record.ts";
import { type RecordTraffic, recordTraffic } from "../../packages/flows/src/testing/record-traffic.ts";
import type { BenchOptions } from "./bench.ts";
import { median, round } from "./statistics.ts";

const FLOWS_PER_SECOND = 2000;
const START_MS = Date.UTC(2026, 10, 1);
const RULES = 1000;
const MILLION = 1_000_000;
/** Of which the evaluator judges every flow. */
const SAMPLED_MS = 500;
const signal = new AbortController().signal;

export async function rehearsed({ quick, seed, note }: BenchOptions): Promise<Record<string, number>> {
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
    await assertSample(history, surroundings, traffic.nowMs, note);
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

/** @throws where the evaluator denies another number of the flows of some moment. */
async function assertSample(
  history: History,
  surroundings: Surroundings,
  nowMs: number,
  note: (line: string) => void,
): Promise<void> {
  const middleMs = (START_MS + nowMs) / 2;
  const [since, until] = [middleMs, middleMs + SAMPLED_MS].map((ms) => new Date(ms).toISOString()) as [
    string,
    string,
  ];
  const files = [{ name: "bench.yaml", text: manyRules() }];
  const body = rehearseBodySchema.parse({ since, until, files });
  // The evaluator knows nothing of what stays reachable.
  const config = { ...surroundings.config, management_ports: [] };
  const told = await rehearsalOf({ ...surroundings, compiler: compilerHere(config) }, body, signal);
  const reader = createReader(surroundings.config);
  const set = reader.setOf(reader.read(files, { audit: false, appliedMs: 0 }));
  const flows = (await readAll(history, { since, until })).filter(({ place }) => place === "local");
  const isDenied = (flow: Flow): boolean => {
    const { process, direction, destination, protocol, icmp } = flow;
    const peer = direction === "egress" ? destination : flow.source;
    const name = process === null ? "" : workloadName(process);
    // Each workload is selected, as the node is, by a selector of everything.
    const workloads = name === "" ? [] : [{ endpoint: 1, name, labels: {} }];
    const world: World = {
      ...surroundings.world,
      workloads,
      names: () => (peer.name === null ? [] : [peer.name]),
    };
    return [NODE_ENDPOINT, ...workloads.map(({ endpoint }) => endpoint)].some(
      (endpoint) =>
        evaluate(set, world, {
          endpoint,
          direction,
          peer: { address: parseAddress(peer.ip) as Uint8Array },
          protocol: protocolNumber(protocol) as number,
          port: icmp === null ? destination.port : icmp.type,
        }).decision === "deny",
    );
  };
  const denied = flows.filter(isDenied).length;
  const judged = told.judged + told.attempts.judged;
  if (judged !== flows.length || told.denied + told.attempts.denied !== denied || denied === 0)
    throw new Error(
      `of ${judged} flows ${told.denied + told.attempts.denied} are denied; the evaluator denies ${denied} of ${flows.length}`,
    );
  note(`the evaluator denies ${denied} of ${flows.length} flows of a moment, as the rehearsal does`);
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
    compiler: compilerHere(config),
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
