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
import { createJudge } from "../compile/judge.ts";
import { NODE_ENDPOINT, type Verdict } from "../model.ts";
import { workloadName } from "../workloads/name.ts";
import { type Asked, ask, cameToSomething, type Unasked, unasked } from "./asked.ts";
import type { DenialGroup, Rehearsed, RehearseRequest } from "./contract.ts";
import { replayEnded } from "./replays.ts";
import { ownersByCgroup } from "./workloads.ts";

/** What is remembered at once: verdicts, and groups not yet added up; some 100 bytes each. */
const MOST_VERDICTS = 262_144;
const MOST_PENDING = 65_536;
/** Processes that are told apart without looking at their texts. */
const MOST_PROCESSES = 65_536;
/** Groups of which all are told apart; up to twice as many are held. */
const GROUPS = 8192;

interface Example {
  readonly startMs: number;
  readonly run: number;
  readonly id: number;
}
type Detail = Omit<DenialGroup, "flows" | "example">;
type Newest = Detail & { readonly example: Example };

/** What was decided for one endpoint, class of peers and service, with what it denied since groups were added up. */
interface Cell {
  readonly verdict: Verdict;
  pending: Map<string, Map<Told | null, Pending>> | undefined;
}

/** What is told of a process: those that share it are one object. */
type Told = Pick<FlowProcess, "comm" | "unit" | "container">;

interface Pending {
  flows: number;
  readonly detail: Detail;
  example: Example;
}

/** Addresses that no rule tells apart. */
interface PeerClass {
  readonly numbers: readonly number[];
  /** Whether rules name some, and it is of the world. */
  readonly canBeNamed: boolean;
  /** Endpoint → service → verdict. */
  readonly cells: Map<number, Map<number, Cell>>;
  /** By the name that a flow has for an address. */
  readonly byName: Map<string, PeerClass>;
}

/** @throws X0_FLOWS_REPLAY_ENDED where the signal ends it */
export async function rehearse(
  history: Pick<History, "replay" | "covers">,
  request: RehearseRequest,
  signal: AbortSignal,
): Promise<Rehearsed> {
  const { tables, netns, top } = request;
  const replay = history.replay(request);
  const endpoints = new Map(request.workloads.map(({ name, endpoint }) => [name, endpoint]));
  const isJudged = new Set(tables.endpoints.map(({ policy }) => policy >>> 2));
  const judge = createJudge(tables);
  const hasNames = tables.names.length > 0;
  const nodes = new Set(request.nodes.map(formatAddress));

  const groups = heavyHitters<{ flows: number }, Newest>(GROUPS, (before, next) =>
    isNewer(next.example, before.example) ? next : before,
  );
  const classes = new Map<string, PeerClass>();
  /** By number of the address. */
  let classOf: (PeerClass | undefined)[] = [];
  let texts: (string | undefined)[] = [];
  let known = 0;
  let dirty: Cell[] = [];
  let pending = 0;

  const addUp = (): void => {
    for (const cell of dirty) {
      for (const byProcess of cell.pending?.values() ?? [])
        for (const { flows, detail, example } of byProcess.values())
          groups.add(groupKey(detail), flows, { flows }, { ...detail, example });
      cell.pending = undefined;
    }
    dirty = [];
    pending = 0;
  };
  const forget = (): void => {
    addUp();
    classes.clear();
    classOf = [];
    texts = [];
    known = 0;
  };
  const textOf = (address: number): string => {
    const text = texts[address] ?? formatAddress(replay.address(address));
    texts[address] = text;
    return text;
  };

  const classWith = (numbers: readonly number[], canBeNamed: boolean): PeerClass => {
    const key = `${canBeNamed} ${numbers.join()}`;
    let found = classes.get(key);
    if (found === undefined) {
      found = { numbers, canBeNamed, cells: new Map(), byName: new Map() };
      classes.set(key, found);
    }
    return found;
  };
  const classOfAsked = ({ peer, peerName, isEgress }: Asked): PeerClass => {
    let found = classOf[peer];
    if (found === undefined) {
      const canBeNamed = hasNames && !nodes.has(textOf(peer));
      found = classWith(judge.peers({ address: replay.address(peer) }), canBeNamed);
      classOf[peer] = found;
    }
    if (!found.canBeNamed || !isEgress || peerName === "") return found;
    let named = found.byName.get(peerName);
    if (named === undefined) {
      const more = judge.named([peerName]);
      named = more.length === 0 ? found : classWith([...found.numbers, ...more], true);
      found.byName.set(peerName, named);
      known++;
    }
    return named;
  };
  const asked = {} as Asked;
  const cellOf = (of: PeerClass, endpoint: number): Cell => {
    const { isEgress, protocol, port } = asked;
    const service = ((port ?? 65_536) * 256 + protocol) * 2 + (isEgress ? 1 : 0);
    let cells = of.cells.get(endpoint);
    if (cells === undefined) {
      cells = new Map();
      of.cells.set(endpoint, cells);
    }
    let cell = cells.get(service);
    if (cell === undefined) {
      const direction = isEgress ? "egress" : "ingress";
      cell = {
        verdict: judge.verdict({ endpoint, direction, protocol, port }, of.numbers),
        pending: undefined,
      };
      cells.set(service, cell);
      known++;
    }
    return cell;
  };
  let tellings = new Map<string, Told>();
  /** One object a block: these would hold the blocks of the whole history. */
  let toldOf = new Map<FlowProcess, Told>();
  const told = (process: FlowProcess | null): Told | null => {
    if (process === null) return null;
    const before = toldOf.get(process);
    if (before !== undefined) return before;
    const { comm, unit, container } = process;
    const key = `${comm}\n${unit ?? ""}\n${container ?? ""}`;
    if (toldOf.size > MOST_PROCESSES) toldOf = new Map();
    if (tellings.size > MOST_PROCESSES) tellings = new Map();
    const known = tellings.get(key) ?? { comm, unit, container };
    tellings.set(key, known);
    toldOf.set(process, known);
    return known;
  };
  const byRule = new Map<string, { rule: number; decision: "audit" | "deny"; flows: number }>();
  const note = (flow: PastFlow, endpoint: number, cell: Cell): void => {
    const { decision, id } = cell.verdict;
    if (decision === "allow") return;
    const ruleKey = `${decision} ${id}`;
    const rule = byRule.get(ruleKey);
    if (rule === undefined) byRule.set(ruleKey, { rule: id, decision, flows: 1 });
    else rule.flows++;
    const { port = null, protocol, isEgress, peerName } = asked;
    const process = told(asked.process);
    const who = peerName === "" ? textOf(asked.peer) : peerName;
    if (cell.pending === undefined) {
      cell.pending = new Map();
      dirty.push(cell);
    }
    let byProcess = cell.pending.get(who);
    if (byProcess === undefined) {
      byProcess = new Map();
      cell.pending.set(who, byProcess);
    }
    const group = byProcess.get(process);
    if (group !== undefined) {
      group.flows++;
      if (isNewer(flow, group.example)) group.example = exampleOf(flow);
      return;
    }
    const detail: Detail = {
      decision,
      rule: id,
      endpoint,
      direction: isEgress ? "egress" : "ingress",
      peer: { ip: textOf(asked.peer), name: peerName === "" ? null : peerName },
      protocol,
      port,
      process: process?.comm ?? null,
      unit: process?.unit ?? null,
      container: process?.container ?? null,
    };
    byProcess.set(process, { flows: 1, detail, example: exampleOf(flow) });
    pending++;
  };

  const ownersOf = ownersByCgroup();
  const seen = new Set<string>();
  let endpointsOf = new Map<FlowProcess, number | undefined>();
  /** The innermost of its workloads that a policy selects, as the kernel side has it. */
  const endpointOf = (process: FlowProcess | null): number | undefined => {
    if (process === null) return undefined;
    if (endpointsOf.has(process)) return endpointsOf.get(process);
    // One object a block: these would hold the blocks of the whole history.
    if (endpointsOf.size > MOST_PROCESSES) endpointsOf = new Map();
    const names = ownersOf(process).map(workloadName);
    for (const name of names) seen.add(name);
    const endpoint = names
      .map((name) => endpoints.get(name))
      .find((one) => one !== undefined && isJudged.has(one));
    endpointsOf.set(process, endpoint);
    return endpoint;
  };
  const passed = Object.fromEntries(unasked.map((why) => [why, 0])) as Record<Unasked, number>;
  const counts = { judged: 0, denied: 0, audited: 0, attempts: { judged: 0, denied: 0 }, unasked: passed };
  const whole = await replay.flows(
    (flow) => {
      const workload = endpointOf(flow.process);
      endpointOf(flow.peerProcess);
      const why = ask(flow, netns, asked);
      if (why !== undefined) {
        passed[why]++;
        return;
      }
      if (known > MOST_VERDICTS) forget();
      if (pending > MOST_PENDING) addUp();
      const peers = classOfAsked(asked);
      const ofNode = cellOf(peers, NODE_ENDPOINT);
      const ofWorkload = workload === undefined ? undefined : cellOf(peers, workload);
      const isDenied = ofNode.verdict.decision === "deny" || ofWorkload?.verdict.decision === "deny";
      if (!cameToSomething(flow)) {
        counts.attempts.judged++;
        if (isDenied) counts.attempts.denied++;
        return;
      }
      counts.judged++;
      if (isDenied) counts.denied++;
      else if (ofNode.verdict.decision === "audit" || ofWorkload?.verdict.decision === "audit")
        counts.audited++;
      note(flow, NODE_ENDPOINT, ofNode);
      // One rule that both are judged by is told once.
      const isSame =
        ofWorkload?.verdict.id === ofNode.verdict.id &&
        ofWorkload.verdict.decision === ofNode.verdict.decision;
      if (ofWorkload !== undefined && workload !== undefined && !isSame) note(flow, workload, ofWorkload);
    },
    forget,
    signal,
  );
  if (!whole) throw replayEnded();
  addUp();
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

/** What a group is of. */
function groupKey({ peer, rule, decision, endpoint, direction, protocol, port, ...by }: Detail): string {
  const { process, unit, container } = by;
  return `${decision} ${rule} ${endpoint} ${direction} ${protocol} ${port} ${peer.name ?? peer.ip}\n${process ?? ""}\n${unit ?? ""}\n${container ?? ""}`;
}

function exampleOf({ startMs, run, id }: PastFlow): Example {
  return { startMs, run, id };
}

function isNewer(a: Example, b: Example): boolean {
  return (a.startMs - b.startMs || a.run - b.run || a.id - b.id) > 0;
}
