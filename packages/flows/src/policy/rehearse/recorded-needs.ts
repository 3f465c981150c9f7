/**
 * What recorded flows need policies to allow: each subject's peers by service, with how many flows and when last. In
 * bounded memory: where very many addresses of the world use one service, only their family is told.
 */
import { formatAddress, isMappedIPv4 } from "../../address.ts";
import type { History } from "../../history/history.ts";
import { heavyHitters } from "../../summary/heavy-hitters.ts";
import { type Owner, workloadName } from "../workloads/name.ts";
import { type Asked, ask, cameToSomething, type Unasked, unasked } from "./asked.ts";
import type { LeftOut, Need, Needs, NeedsRequest } from "./contract.ts";
import { replayEnded } from "./replays.ts";
import { isSubject, MOST_WORKLOADS, ownersByCgroup } from "./workloads.ts";

/** Peers of one service that are asked for without a name; beyond them all of the world is told. */
const MOST_ADDRESSES = 1024;
/** Addresses of one name; beyond them only the name is told. */
const MOST_OF_NAME = 64;
/** Peers of all services: 30 MB. */
const MOST_NEEDS = 65_536;
const DNS = 53;
/** Kinds of attempts that are told of those that came to nothing. */
const MOST_LEFT_OUT = 10;

type Peer = { -readonly [Key in keyof Pick<Need, "address" | "name" | "flows" | "lastMs">]: Need[Key] } & {
  readonly isIPv4: boolean;
};

interface Service extends Pick<Need, "subject" | "isEgress" | "protocol" | "port"> {
  readonly peers: Map<string, Peer>;
  /** Addresses of the world without a name, by family; names with their addresses. */
  readonly sizes: Map<string, number>;
}

/** @throws X0_FLOWS_REPLAY_ENDED where the signal ends it */
export async function recordedNeeds(
  history: Pick<History, "replay" | "covers">,
  request: NeedsRequest,
  signal: AbortSignal,
): Promise<Needs> {
  const { netns, limits } = request;
  // Loopback passes where management does, and suggestions are for that.
  const enforced = { netns, judgeLoopback: false };
  const replay = history.replay(request);
  const nodes = new Set(request.nodes.map(formatAddress));
  const services = new Map<string, Service>();
  const subjects = new Map<string, Owner>();
  const others = new Map<string, Owner>();
  /** Of numbers of addresses. */
  const texts = new Map<number, string>();
  const ownersOf = ownersByCgroup();
  const passed = Object.fromEntries(unasked.map((why) => [why, 0])) as Record<Unasked, number>;
  const leftOut = heavyHitters<{ flows: number }, Omit<LeftOut, "flows">>(1024, (before) => before);
  const asked = {} as Asked;
  let [flows, attempts, beyond, held] = [0, 0, 0, 0];

  const textOf = (number: number): string => {
    let text = texts.get(number);
    if (text === undefined) {
      text = formatAddress(replay.address(number));
      texts.set(number, text);
    }
    return text;
  };
  /** All of one kind become one, which names no address. */
  const collapse = (service: Service, kind: string): void => {
    const key = `${kind}\n*`;
    for (const [each, peer] of service.peers) {
      if (!each.startsWith(`${kind}\n`) || each === key) continue;
      service.peers.delete(each);
      held--;
      const { name, isIPv4 } = peer;
      const whole = kind.startsWith("name-") ? name : null;
      merge(service, key, { address: null, name: whole, isIPv4, flows: peer.flows, lastMs: peer.lastMs });
    }
  };
  const merge = (service: Service, key: string, more: Peer): boolean => {
    const known = service.peers.get(key);
    if (known === undefined) {
      if (held >= MOST_NEEDS) return false;
      held++;
      service.peers.set(key, more);
      return true;
    }
    known.flows += more.flows;
    known.lastMs = Math.max(known.lastMs, more.lastMs);
    return true;
  };
  const add = (subject: string, lastMs: number): void => {
    const { isEgress, protocol, port = null, peer, peerName } = asked;
    const serviceKey = `${isEgress} ${protocol} ${port} ${subject}`;
    let service = services.get(serviceKey);
    if (service === undefined) {
      if (services.size >= MOST_NEEDS) {
        beyond++;
        return;
      }
      service = { subject, isEgress, protocol, port, peers: new Map(), sizes: new Map() };
      services.set(serviceKey, service);
    }
    const text = textOf(peer);
    const address = replay.address(peer);
    const isIPv4 = isMappedIPv4(address);
    const isNode = nodes.has(text);
    const name = isEgress && !isNode && peerName !== "" ? peerName : null;
    // Resolvers are told apart by address, whatever they are called.
    const byName = name !== null && port !== DNS;
    const kind = isNode ? "node" : byName ? `name-${isIPv4} ${name}` : `world-${isIPv4}`;
    const whole = service.peers.get(`${kind}\n*`);
    if (whole !== undefined) {
      whole.flows++;
      whole.lastMs = Math.max(whole.lastMs, lastMs);
      return;
    }
    const key = `${kind}\n${text} ${name}`;
    const known = service.peers.get(key);
    if (known !== undefined) {
      known.flows++;
      known.lastMs = Math.max(known.lastMs, lastMs);
      return;
    }
    if (!merge(service, key, { address: address.slice(), name, isIPv4, flows: 1, lastMs })) {
      beyond++;
      return;
    }
    if (isNode) return;
    const size = (service.sizes.get(kind) ?? 0) + 1;
    service.sizes.set(kind, size);
    const most = byName ? MOST_OF_NAME : isEgress ? MOST_ADDRESSES : limits.publicAddresses;
    if (size > most) collapse(service, kind);
  };

  const whole = await replay.flows(
    (flow) => {
      const why = ask(flow, enforced, asked);
      if (why !== undefined) {
        passed[why]++;
        return;
      }
      const { process, isEgress, protocol, port = null } = asked;
      if (!cameToSomething(flow)) {
        attempts++;
        const direction = isEgress ? "egress" : "ingress";
        const comm = process?.comm ?? null;
        // Ports that strangers try are as many as there are.
        const told = isEgress || process !== null ? port : null;
        leftOut.add(
          JSON.stringify([direction, protocol, told, comm]),
          1,
          { flows: 1 },
          {
            direction,
            protocol,
            port: told,
            process: comm,
          },
        );
        return;
      }
      flows++;
      add("", flow.endMs);
      const owners = process === null ? [] : ownersOf(process);
      for (const owner of owners)
        if (!isSubject(owner) && others.size < MOST_WORKLOADS) others.set(workloadName(owner), owner);
      const subject = owners.find(isSubject);
      if (subject === undefined) return;
      const name = workloadName(subject);
      if (!subjects.has(name)) {
        if (subjects.size >= MOST_WORKLOADS) return;
        subjects.set(name, subject);
      }
      add(name, flow.endMs);
    },
    () => texts.clear(),
    signal,
  );
  if (!whole) throw replayEnded();
  return {
    covers: history.covers(request),
    needs: [...services.values()].flatMap(({ subject, isEgress, protocol, port, peers }) =>
      [...peers.values()].map((peer) => ({ subject, isEgress, protocol, port, ...peer })),
    ),
    subjects: [...subjects.values()],
    others: [...others.values()],
    flows,
    attempts,
    leftOut: leftOut.top(MOST_LEFT_OUT).map(({ sums, detail }) => ({ ...detail, flows: sums.flows })),
    beyond,
    unasked: passed,
  };
}
