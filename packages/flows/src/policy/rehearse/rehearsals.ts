/** Rehearsals and suggestions as the API asks for them: policies and the world on this side, flows on the other. */
import { statSync } from "node:fs";
import { requireMoment } from "../../filter.ts";
import type { ReplayRange } from "../../history/replay.ts";
import { protocolName } from "../../protocols.ts";
import { plainWorld } from "../compiler/compiled.ts";
import type { PolicyCompiler } from "../compiler/contract.ts";
import type { PolicyConfig } from "../config.ts";
import { type Labels, NODE_ENDPOINT, type World } from "../model.ts";
import type { KnownAddress } from "../names/known.ts";
import { resolversOf } from "../resolvers.ts";
import type { StoredDocument } from "../store/store.ts";
import { workloadLabels } from "../workloads/registry.ts";
import { coveredHours } from "./covered.ts";
import type { Rehearsal, RehearseBody, SuggestionAnswer, SuggestQuery } from "./schema.ts";
import type { RecordedTraffic } from "./service.ts";
import { suggest } from "./suggest.ts";
import { allWorkloads } from "./workloads.ts";

export interface Surroundings {
  readonly config: PolicyConfig;
  readonly compiler: Pick<PolicyCompiler, "rehearsal">;
  readonly recorded: RecordedTraffic;
  /** What is applied now. */
  readonly documents: readonly StoredDocument[];
  readonly world: World;
  /** What is known of names now. */
  readonly known?: readonly KnownAddress[];
  readonly nowMs: number;
  /** Inode of the namespace whose packets are judged; default: this process's. */
  readonly netns?: number;
}

/** @throws what is wrong with the files, X0_FLOWS_INVALID_FILTER, X0_FLOWS_REPLAY_ENDED, X0_FLOWS_POLICY_TOO_LARGE */
export async function rehearsalOf(
  { config, compiler, recorded, documents, world, known = [], nowMs, netns = ownNetns() }: Surroundings,
  { files, alone, management, since, until, top }: RehearseBody,
  signal: AbortSignal,
): Promise<Rehearsal> {
  const range = rangeOf(since, until, nowMs);
  const workloads = allWorkloads(world.workloads, await recorded.owners(range, signal), (owner) =>
    workloadLabels(owner, config.workloads),
  );
  const {
    tables,
    rules,
    selected: selection,
  } = await compiler.rehearsal({
    files,
    documents: alone ? [] : documents,
    world: { ...plainWorld(world), workloads },
    management,
  });
  const ruleById = new Map(rules);
  const selected = new Set(selection);
  const result = await recorded.rehearse(
    {
      ...range,
      netns,
      judgeLoopback: !management,
      nodes: nodeAddresses(world),
      known,
      tables,
      workloads: workloads.map(({ name, endpoint }) => ({ name, endpoint })),
      top,
    },
    signal,
  );
  const { counts, covers, groups, missing } = result;
  const ruleOf = (id: number) => ruleById.get(id) ?? { policy: "", path: "" };
  const nameOf = (endpoint: number): string =>
    endpoint === NODE_ENDPOINT
      ? world.node.name
      : (workloads.find((one) => one.endpoint === endpoint)?.name ?? "");
  const seen = new Set(result.seen);
  return {
    covers,
    asked: { from: iso(range.sinceMs), to: iso(range.untilMs) },
    hours: coveredHours(covers),
    judged: counts.judged,
    denied: counts.denied,
    audited: counts.audited,
    attempts: counts.attempts,
    unasked: counts.unasked,
    names: tables.names.length === 0 ? null : { ...counts.names, addresses: known.length },
    rules: result.rules.map(({ rule, decision, flows }) => ({ ...ruleOf(rule), decision, flows })),
    groups: groups.map(({ rule, endpoint, protocol, ...group }) => ({
      ...ruleOf(rule),
      endpoint: nameOf(endpoint),
      protocol: protocolName(protocol),
      ...group,
    })),
    missing,
    unseen: world.workloads
      .filter(({ name, labels }) => !seen.has(name) && isLasting(name, labels))
      .map(({ name, endpoint }) => ({
        name,
        selected: selected.has(endpoint),
      })),
  };
}

/** @throws as `rehearsalOf` */
export async function suggestionOf(
  { config, recorded, world, nowMs, netns = ownNetns() }: Surroundings,
  { since, until, widen, publicAddresses }: SuggestQuery,
  signal: AbortSignal,
): Promise<SuggestionAnswer> {
  const needs = await recorded.needs(
    { ...rangeOf(since, until, nowMs), netns, nodes: nodeAddresses(world), limits: { publicAddresses } },
    signal,
  );
  const { yaml, documents } = suggest(needs, world, {
    widening: { ipv4: widen, ipv6: widen < 32 ? 64 : 128 },
    resolvers: resolversOf(config),
    labelsOf: (owner) => workloadLabels(owner, config.workloads),
  });
  const { covers, flows, attempts, beyond, unasked } = needs;
  return {
    covers,
    hours: coveredHours(covers),
    yaml,
    flows,
    attempts,
    beyond,
    unasked,
    policies: documents.map(({ name, sections }) => ({
      name,
      rules: sections.flatMap(({ isEgress, rules }) =>
        rules.map((rule, index) => ({
          path: `spec.${isEgress ? "egress" : "ingress"}[${index}]`,
          flows: rule.flows,
          last: rule.flows === 0 ? null : iso(rule.lastMs),
        })),
      ),
    })),
  };
}

/** Of nodes and workloads: the world has the others. */
function nodeAddresses({ node, members, workloads }: World): Uint8Array[] {
  return [node, ...members, ...workloads].flatMap(({ addresses }) => addresses ?? []);
}

function rangeOf(since: string, until: string, nowMs: number): ReplayRange {
  const sinceMs = requireMoment("since", since, nowMs);
  return { sinceMs, untilMs: Math.max(sinceMs, requireMoment("until", until, nowMs)) };
}

/** Those of sessions, mounts and sockets come and go. */
function isLasting(name: string, { container }: Labels): boolean {
  return name.endsWith(".service") || container !== undefined;
}

function ownNetns(): number {
  return statSync("/proc/thread-self/ns/net").ino;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
