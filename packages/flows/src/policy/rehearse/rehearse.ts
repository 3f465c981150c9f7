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
import { NODE_ENDPOINT, policyProtocols, type Verdict } from "../model.ts";
import { workloadName } from "../workloads/name.ts";
import { type Asked, ask, askReceiver, cameToSomething, type Unasked, unasked } from "./asked.ts";
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

/** A process as policies see it. */
interface End {
  /** The innermost of its workloads that a policy selects, as the kernel side has it. */
  readonly endpoint: number | undefined;
  /** What it is as a peer: that one, else the innermost. */
  readonly workload: number | undefined;
}
const nobody: End = { endpoint: undefined, workload: undefined };

/** What one endpoint's policy says of a flow. */
interface Judged {
  readonly endpoint: number;
  readonly cell: Cell;
  readonly asked: Asked;
}

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
  const { tables, top } = request;
  const replay = history.replay(request);
  const endpoints = new Map(request.workloads.map(({ name, endpoint }) => [name, endpoint]));
  const isJudged = new Set(tables.endpoints.map(({ policy }) => policy >>> 2));
  const judge = createJudge(tables);
  const hasNames = tables.names.length > 0;
  const nodes = new Set(request.nodes.map(formatAddress));
  const known = new Map(request.known.map(({ address, names }) => [formatAddress(address), names]));

  const groups = heavyHitters<{ flows: number }, Newest>(GROUPS, (before, next) =>
    isNewer(next.example, before.example) ? next : before,
  );
  const classes = new Map<string, PeerClass>();
  /** By number of the address. */
  let classOf: (PeerClass | undefined)[] = [];
  let texts: (string | undefined)[] = [];
  let held = 0;
  const named = { recorded: 0, known: 0, unknown: 0 };
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
    held = 0;
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
      const names = canBeNamed ? judge.named(known.get(textOf(peer)) ?? []) : [];
      found = classWith([...judge.peers({ address: replay.address(peer) }), ...names], canBeNamed);
      classOf[peer] = found;
    }
    if (!found.canBeNamed || !isEgress) return found;
    if (peerName === "") {
      named[known.has(textOf(peer)) ? "known" : "unknown"]++;
      return found;
    }
    named.recorded++;
    let byName = found.byName.get(peerName);
    if (byName === undefined) {
      const more = judge.named([peerName]);
      byName = more.length === 0 ? found : classWith([...found.numbers, ...more], true);
      found.byName.set(peerName, byName);
      held++;
    }
    return byName;
  };
  /** Of a workload of this host, which is told by more than its address. */
  const classOfWorkload = (peer: number, workload: number | undefined, otherwise: PeerClass): PeerClass =>
    workload === undefined
      ? otherwise
      : classWith(judge.peers({ address: replay.address(peer), workload }), false);
  const cellOf = (of: PeerClass, endpoint: number, asked: Asked): Cell => {
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
      held++;
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
    const telling = tellings.get(key) ?? { comm, unit, container };
    tellings.set(key, telling);
    toldOf.set(process, telling);
    return telling;
  };
  const byRule = new Map<string, { rule: number; decision: "audit" | "deny"; flows: number }>();
  const note = (flow: PastFlow, { endpoint, cell, asked }: Judged): void => {
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
  let endsOf = new Map<FlowProcess, End>();
  const endOf = (process: FlowProcess | null): End => {
    if (process === null) return nobody;
    const before = endsOf.get(process);
    if (before !== undefined) return before;
    // One object a block: these would hold the blocks of the whole history.
    if (endsOf.size > MOST_PROCESSES) endsOf = new Map();
    const names = ownersOf(process).map(workloadName);
    for (const name of names) seen.add(name);
    const workloads = names.flatMap((name) => endpoints.get(name) ?? []);
    const endpoint = workloads.find((one) => isJudged.has(one));
    const end = { endpoint, workload: endpoint ?? workloads[0] };
    endsOf.set(process, end);
    return end;
  };
  const passed = Object.fromEntries(unasked.map((why) => [why, 0])) as Record<Unasked, number>;
  const counts = {
    ...{ judged: 0, denied: 0, audited: 0, attempts: { judged: 0, denied: 0 } },
    unasked: passed,
    names: named,
  };
  const asked = {} as Asked;
  const received = {} as Asked;
  /** The verdicts of all whose policies are asked; all of them must allow. */
  const judged = (flow: PastFlow, own: End, other: End): Judged[] => {
    const peers = classOfAsked(asked);
    const all: Judged[] = [{ endpoint: NODE_ENDPOINT, cell: cellOf(peers, NODE_ENDPOINT, asked), asked }];
    // The kernel side knows sockets of these alone by the other end.
    const { tcp, udp } = policyProtocols;
    const areTold = asked.isLoopback && (asked.protocol === tcp || asked.protocol === udp);
    // What a workload says to itself is not judged.
    if (areTold && own.endpoint !== undefined && own.endpoint === other.endpoint) return all;
    if (own.endpoint !== undefined) {
      const others = classOfWorkload(asked.peer, areTold ? other.workload : undefined, peers);
      all.push({ endpoint: own.endpoint, cell: cellOf(others, own.endpoint, asked), asked });
    }
    if (other.endpoint !== undefined && asked.isLoopback) {
      askReceiver(flow, asked, received);
      const workload = areTold ? own.workload : undefined;
      const others = classOfWorkload(received.peer, workload, classOfAsked(received));
      all.push({ endpoint: other.endpoint, cell: cellOf(others, other.endpoint, received), asked: received });
    }
    return all;
  };
  const whole = await replay.flows(
    (flow) => {
      const end = endOf(flow.process);
      const otherEnd = endOf(flow.peerProcess);
      const why = ask(flow, request, asked);
      if (why !== undefined) {
        passed[why]++;
        return;
      }
      if (held > MOST_VERDICTS) forget();
      if (pending > MOST_PENDING) addUp();
      // Away from loopback only one end is here, and it is asked.
      const isAsked = flow.isEgress || !asked.isLoopback;
      const all = isAsked ? judged(flow, end, otherEnd) : judged(flow, otherEnd, end);
      const isDenied = all.some(({ cell }) => cell.verdict.decision === "deny");
      if (!cameToSomething(flow)) {
        counts.attempts.judged++;
        if (isDenied) counts.attempts.denied++;
        return;
      }
      counts.judged++;
      if (isDenied) counts.denied++;
      else if (all.some(({ cell }) => cell.verdict.decision === "audit")) counts.audited++;
      for (const [index, one] of all.entries()) {
        // One rule that several are judged by is told once.
        const isTold = all.slice(0, index).some(({ cell }) => isSame(cell.verdict, one.cell.verdict));
        if (!isTold) note(flow, one);
      }
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

function isSame(a: Verdict, b: Verdict): boolean {
  return a.id === b.id && a.decision === b.decision;
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
