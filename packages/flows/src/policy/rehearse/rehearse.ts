/**
 * Recorded flows through the tables of a policy: which would be dropped. What was judged once is remembered by
 * endpoint, peer, protocol and port, within bounds; what is denied is grouped, within bounds too.
 */
import { formatAddress } from "../../address.ts";
import type { FlowProcess } from "../../flow.ts";
import type { History } from "../../history/history.ts";
import type { PastFlow } from "../../history/replay.ts";
import { qualified } from "../../history/rows.ts";
import { heavyHitters } from "../../summary/heavy-hitters.ts";
import { judgeBy } from "../compile/judge.ts";
import { NODE_ENDPOINT, type Verdict } from "../model.ts";
import { type Asked, ask, cameToSomething, type Unasked, unasked } from "./asked.ts";
import type { DenialGroup, Rehearsed, RehearseRequest } from "./contract.ts";
import { replayEnded } from "./replays.ts";
import { workloadKey } from "./workloads.ts";

/** Verdicts remembered at once, of each endpoint; 100 bytes each. */
const MOST_VERDICTS = 262_144;
/** Names that have a number at once. */
const MOST_NAMES = 65_536;
/** Groups of which all are told apart; up to twice as many are held. */
const GROUPS = 4096;

interface Example {
  readonly startMs: number;
  readonly run: number;
  readonly id: number;
}
type Detail = Omit<DenialGroup, "flows" | "example"> & { readonly example: Example };

/** @throws X0_FLOWS_REPLAY_ENDED where the signal ends it */
export async function rehearse(
  history: Pick<History, "replay" | "covers">,
  request: RehearseRequest,
  signal: AbortSignal,
): Promise<Rehearsed> {
  const { tables, netns, top } = request;
  const replay = history.replay(request);
  const endpoints = new Map(request.workloads.map(({ key, endpoint }) => [key, endpoint]));
  const isJudged = new Set(tables.endpoints.map(({ policy }) => policy >>> 2));
  /** Names count only where rules name some. */
  const hasNames = tables.names.length > 0;
  let names: readonly string[] = [];
  const judge = judgeBy(tables, () => names);

  const known = new Map<number, Map<number, Verdict>>();
  const nameNumbers = new Map<string, number>();
  const texts = new Map<number, string>();
  const forget = (): void => {
    known.clear();
    nameNumbers.clear();
    texts.clear();
  };
  const nameNumber = (name: string): number => {
    const number = nameNumbers.get(name);
    if (number !== undefined) return number;
    // Numbers of names are in keys of verdicts.
    if (nameNumbers.size >= MOST_NAMES) forget();
    nameNumbers.set(name, nameNumbers.size);
    return nameNumbers.size - 1;
  };
  const asked = {} as Asked;
  const verdictOf = (endpoint: number): Verdict => {
    const { isEgress, peer, peerName, protocol } = asked;
    const isNamed = hasNames && isEgress && peerName !== "";
    const service = ((asked.port ?? 65_536) * 256 + protocol) * 2 + (isEgress ? 1 : 0);
    // 20 bits of addresses, 26 of the service; names have their own map for each address.
    const place = isNamed
      ? endpoint * (MOST_NAMES + 1) + 1 + nameNumber(peerName)
      : endpoint * (MOST_NAMES + 1);
    let verdicts = known.get(place);
    if (verdicts === undefined) {
      verdicts = new Map();
      known.set(place, verdicts);
    }
    const key = peer * 2 ** 26 + service;
    const before = verdicts.get(key);
    if (before !== undefined) return before;
    if (verdicts.size >= MOST_VERDICTS) verdicts.clear();
    names = isNamed ? [peerName] : [];
    const verdict = judge({
      endpoint,
      direction: isEgress ? "egress" : "ingress",
      peer: { address: replay.address(peer) },
      protocol,
      port: asked.port,
    });
    verdicts.set(key, verdict);
    return verdict;
  };
  const textOf = (address: number): string => {
    let text = texts.get(address);
    if (text === undefined) {
      text = formatAddress(replay.address(address));
      texts.set(address, text);
    }
    return text;
  };

  const groups = heavyHitters<{ flows: number }, Detail>(GROUPS, (before, next) =>
    isNewer(next.example, before.example) ? next : before,
  );
  const one = { flows: 1 };
  const byRule = new Map<string, { rule: number; decision: "audit" | "deny"; flows: number }>();
  const ownerTexts = new Map<FlowProcess | null, string>();
  const note = (flow: PastFlow, endpoint: number, { decision, id }: Verdict): void => {
    if (decision === "allow") return;
    const ruleKey = `${decision} ${id}`;
    const rule = byRule.get(ruleKey);
    if (rule === undefined) byRule.set(ruleKey, { rule: id, decision, flows: 1 });
    else rule.flows++;
    const { process, port = null, protocol, isEgress, peerName } = asked;
    let owner = ownerTexts.get(process);
    if (owner === undefined) {
      owner = process === null ? "" : JSON.stringify([process.comm, process.unit, process.container]);
      if (ownerTexts.size >= MOST_NAMES) ownerTexts.clear();
      ownerTexts.set(process, owner);
    }
    const ip = textOf(asked.peer);
    const who = peerName === "" ? ip : peerName;
    groups.add(`${ruleKey} ${endpoint} ${isEgress} ${protocol} ${port} ${who} ${owner}`, 1, one, {
      decision,
      rule: id,
      endpoint,
      direction: isEgress ? "egress" : "ingress",
      peer: { ip, name: peerName === "" ? null : peerName },
      protocol,
      port,
      process: process?.comm ?? null,
      unit: process?.unit ?? null,
      container: process?.container ?? null,
      example: { startMs: flow.startMs, run: flow.run, id: flow.id },
    });
  };

  const seen = new Set<string>();
  const seenBy = new Set<FlowProcess | null>();
  const see = (process: FlowProcess | null): void => {
    if (process === null || seenBy.has(process)) return;
    // One object a block: the set would hold the blocks of the whole history.
    if (seenBy.size > MOST_NAMES) seenBy.clear();
    seenBy.add(process);
    const key = workloadKey(process);
    if (key !== undefined) seen.add(key);
  };
  const passed = Object.fromEntries(unasked.map((why) => [why, 0])) as Record<Unasked, number>;
  const counts = { judged: 0, denied: 0, audited: 0, attempts: { judged: 0, denied: 0 }, unasked: passed };
  const whole = await replay.flows(
    (flow) => {
      see(flow.process);
      see(flow.peerProcess);
      const why = ask(flow, netns, asked);
      if (why !== undefined) {
        passed[why]++;
        return;
      }
      const key = asked.process === null ? undefined : workloadKey(asked.process);
      const workload = key === undefined ? undefined : endpoints.get(key);
      const ofNode = verdictOf(NODE_ENDPOINT);
      const ofWorkload = workload !== undefined && isJudged.has(workload) ? verdictOf(workload) : undefined;
      const isDenied = ofNode.decision === "deny" || ofWorkload?.decision === "deny";
      if (!cameToSomething(flow)) {
        counts.attempts.judged++;
        if (isDenied) counts.attempts.denied++;
        return;
      }
      counts.judged++;
      if (isDenied) counts.denied++;
      else if (ofNode.decision === "audit" || ofWorkload?.decision === "audit") counts.audited++;
      note(flow, NODE_ENDPOINT, ofNode);
      if (ofWorkload !== undefined && workload !== undefined) note(flow, workload, ofWorkload);
    },
    forget,
    signal,
  );
  if (!whole) throw replayEnded();
  return {
    covers: history.covers(request),
    counts,
    rules: [...byRule.values()].sort((a, b) => b.flows - a.flows || a.rule - b.rule),
    groups: groups.top(top).map(({ sums, detail: { example, ...detail } }) => ({
      ...detail,
      flows: sums.flows,
      example: {
        flow: qualified(example.run, String(example.id)),
        start: new Date(example.startMs).toISOString(),
      },
    })),
    missing: groups.missing,
    seen: [...seen].sort(),
  };
}

function isNewer(a: Example, b: Example): boolean {
  return (a.startMs - b.startMs || a.run - b.run || a.id - b.id) > 0;
}
