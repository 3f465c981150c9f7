/**
 * Ring events beside those of flows: payloads, exchanges, connections, drops. What they tell goes to the flow's
 * learned words, to events and to sums; nothing here keeps a stranger's bytes beyond the limits of its parsers.
 */
import { formatAddress } from "../address.ts";
import { type Application, applications } from "../application.ts";
import type { DnsEvent, EventParties, FlowEvent } from "../event.ts";
import type { Flow } from "../flow.ts";
import {
  dropEventLayout,
  exchangeEventLayout,
  flowFlag,
  payloadEventLayout,
  tcpEventLayout,
} from "../generated/layout.ts";
import { parseDns } from "../insight/dns.ts";
import { dnsType, dnsTypeName, rcodeName } from "../insight/dns-codes.ts";
import { createDnsTracker, type DnsTransaction } from "../insight/dns-tracker.ts";
import { createNameTable, type NameTable } from "../insight/names.ts";
import { recogniseQuic } from "../insight/quic.ts";
import {
  type HeadParser,
  type RequestHead,
  type RequestProtocol,
  requestHeads,
} from "../insight/requests.ts";
import { createHelloReader } from "../insight/tls.ts";
import { partiesOf } from "../parties.ts";
import { protocolName, protocolNumbers, tcpFlagNames } from "../protocols.ts";
import type { Names } from "./describe.ts";
import { createHeadBytes } from "./head-bytes.ts";
import type { InsightSums } from "./insight-sums.ts";
import type { LearnedStore } from "./learned-store.ts";
import { namespaceOf, openedBySecond, protocolOf, u64, word } from "./table.ts";

/** Names at once; about 200 bytes each. */
const MOST_NAMES = 16_384;
/** Requests whose first answer was an interim one. */
const MOST_INTERIM = 1024;

/** How insight sees the flow table. */
export interface InsightFlows {
  /** @returns the slot of an active flow, or -1. */
  slotOfId(low: number, high: number): number;
  flagsOf(slot: number): number;
  kindOf(slot: number): number;
  flow(slot: number): Flow;
}

export interface Insight {
  readonly names: NameTable;
  payload(words: Uint32Array, at: number): void;
  exchange(words: Uint32Array, at: number): void;
  connection(words: Uint32Array, at: number): void;
  drop(words: Uint32Array, at: number): void;
  /** Gives up queries without answer. About once a second. */
  expire(nowNs: number): void;
  ended(id: number): void;
}

export interface InsightOptions {
  readonly flows: InsightFlows;
  readonly learned: LearnedStore;
  readonly places: Names;
  readonly sums: InsightSums;
  readonly seed: number;
  readonly nowMs: () => number;
  readonly reasonName: (reason: number) => string;
  readonly emit: (event: FlowEvent) => void;
  /** A flow has facts that its first record lacks. */
  readonly onLearned: (slot: number) => void;
  /** Whether anybody wants events of single requests; sums are kept in any case. */
  readonly wantsRequests: () => boolean;
}

export function createInsight(options: InsightOptions): Insight {
  const { flows, learned, places, sums, reasonName, emit } = options;
  const nameTable = createNameTable({ maxNames: MOST_NAMES, seed: options.seed });
  const hellos = createHelloReader();
  const tracker = createDnsTracker({ onTransaction: answered });
  /** By flow id: requests that were answered "100 Continue". */
  const interim = new Map<number, { readonly head: RequestHead; readonly timeNs: number }>();

  const requestBytes = createHeadBytes(128);
  const answerBytes = createHeadBytes(64);

  const time = (monotonicNs: number): string => new Date(places.wallMs(monotonicNs)).toISOString();
  const slotOf = (id: number): number => flows.slotOfId(id >>> 0, Math.floor(id / 2 ** 32));
  const bytesAt = (words: Uint32Array, at: number, length: number): Uint8Array =>
    new Uint8Array(words.buffer, words.byteOffset + at * 4, length);

  function answered(transaction: DnsTransaction): void {
    sums.dns(transaction);
    nameTable.learn(transaction, options.nowMs());
    const slot = slotOf(transaction.flowId);
    if (slot < 0) return;
    const { name, type, rcode, answers, ttlSeconds, queryNs, latencyNs } = transaction;
    const event: DnsEvent = {
      kind: "dns",
      ...partiesOf(flows.flow(slot), time(queryNs + (latencyNs ?? 0))),
      name,
      type: dnsTypeName(type),
      rcode: rcode === null ? null : rcodeName(rcode),
      answers: answers.map((answer) =>
        answer.type === dnsType.cname ? answer.target : formatAddress(answer.address),
      ),
      ttlSeconds,
      latencyMs: latencyNs === null ? null : latencyNs / 1e6,
    };
    emit(event);
  }

  /** The parties of a dropped packet of a flow that is not known: its sender counts as source. */
  function partiesOfDrop(words: Uint32Array, at: number, when: string): EventParties {
    const key = at + dropEventLayout.key / 4;
    const kind = words[key + word.kind] as number;
    const ports = words[key + word.port] as number;
    const protocol = protocolOf(kind);
    const hasPorts = protocol !== protocolNumbers.icmp && protocol !== protocolNumbers.icmpv6;
    const end = (side: number): Flow["source"] => ({
      ip: formatAddress(bytesAt(words, key + 4 * side, 16)),
      port: !hasPorts ? 0 : side === 0 ? ports & 0xffff : ports >>> 16,
      name: nameTable.nameOf(words, key + 4 * side, options.nowMs()) ?? null,
    });
    const from = words[at + dropEventLayout.side / 4] as number;
    return {
      time: when,
      flow: null,
      source: end(from),
      destination: end(1 - from),
      protocol: protocolName(protocol),
      netns: places.namespaceInode(namespaceOf(kind)),
      process: null,
    };
  }

  return {
    names: nameTable,
    payload(words, at) {
      const id = u64(words, at + payloadEventLayout.id / 4);
      const application = applications[(words[at + payloadEventLayout.application / 4] as number) - 1];
      const slot = slotOf(id);
      if (slot < 0) return;
      const bytes = bytesAt(
        words,
        at + payloadEventLayout.bytes / 4,
        words[at + payloadEventLayout.length / 4] as number,
      );
      if (application === "dns") {
        const isTcp = protocolOf(flows.kindOf(slot)) === protocolNumbers.tcp;
        const message = parseDns(bytes, isTcp);
        if (message === undefined) sums.unread(application);
        else tracker.message(id, message, u64(words, at + payloadEventLayout.timeNs / 4));
      } else if (application === "quic") {
        if (recogniseQuic(bytes) === undefined) return;
        learned.setApplication(slot, "quic");
        options.onLearned(slot);
      } else {
        const flags = flows.flagsOf(slot);
        const isServer =
          words[at + payloadEventLayout.side / 4] === ((flags & flowFlag.server) === 0 ? 0 : 1);
        const facts = hellos.feed(
          id,
          !isServer,
          words[at + payloadEventLayout.sequence / 4] as number,
          bytes,
        );
        if (facts === undefined) return;
        learned.setTls(slot, facts);
        options.onLearned(slot);
      }
    },
    exchange(words, at) {
      const idAt = at + exchangeEventLayout.id / 4;
      const slot = flows.slotOfId(words[idAt] as number, words[idAt + 1] as number);
      if (slot < 0) return;
      const application = applications[
        (words[at + exchangeEventLayout.application / 4] as number) - 1
      ] as RequestProtocol;
      const parser = requestHeads[application];
      const request = requestBytes(
        words,
        at + exchangeEventLayout.request / 4,
        words[at + exchangeEventLayout.requestLength / 4] as number,
      );
      const answer = parser.answer(
        answerBytes(
          words,
          at + exchangeEventLayout.response / 4,
          words[at + exchangeEventLayout.responseLength / 4] as number,
        ),
      );
      const id = u64(words, idAt);
      const earlier = interim.size === 0 ? undefined : interim.get(id);
      const isWanted = options.wantsRequests();
      const isTold = isWanted || answer?.isInterim === true;
      const head = isTold ? (parser.request(request) ?? earlier?.head) : undefined;
      const isKnown = head !== undefined || earlier !== undefined || (!isTold && isRequest(parser, request));
      if (!isKnown || answer === undefined) return sums.unread(application);
      const sentNs = u64(words, at + exchangeEventLayout.timeNs / 4);
      if (answer.isInterim) {
        if (head === undefined) return;
        if (interim.size >= MOST_INTERIM) interim.delete(interim.keys().next().value as number);
        interim.set(id, earlier ?? { head, timeNs: sentNs });
        return;
      }
      if (earlier !== undefined) interim.delete(id);
      const beganNs = earlier?.timeNs ?? sentNs;
      const latencyNs = u64(words, at + exchangeEventLayout.latencyNs / 4) + sentNs - beganNs;
      learned.addRequest(slot, answer.isError, latencyNs / 1000);
      sums.request(application, answer.isError, latencyNs / 1e9);
      if (!isWanted || head === undefined) return;
      emit({
        kind: "request",
        ...partiesOf(flows.flow(slot), time(beganNs + latencyNs)),
        application: application as Application,
        method: head.method,
        target: head.target,
        status: answer.status,
        isError: answer.isError,
        latencyMs: latencyNs / 1e6,
        encrypted: false,
      });
    },
    connection(words, at) {
      const slot = flows.slotOfId(
        words[at + tcpEventLayout.id / 4] as number,
        words[at + tcpEventLayout.id / 4 + 1] as number,
      );
      if (slot < 0) return;
      const side = words[at + tcpEventLayout.side / 4] as number;
      const isOpener = side === (openedBySecond(flows.flagsOf(slot)) ? 1 : 0);
      const connectUs = words[at + tcpEventLayout.connectUs / 4] as number;
      const retransmits = words[at + tcpEventLayout.retransmits / 4] as number;
      if (connectUs > 0 && !learned.hasConnect(slot)) sums.connected(connectUs / 1e6);
      const again = learned.setTcp(
        slot,
        isOpener,
        connectUs,
        words[at + tcpEventLayout.srttUs / 4] as number,
        words[at + tcpEventLayout.minRttUs / 4] as number,
        retransmits,
      );
      sums.retransmitted(again);
    },
    drop(words, at) {
      const reason = words[at + dropEventLayout.reason / 4] as number;
      const idAt = at + dropEventLayout.id / 4;
      const slot = flows.slotOfId(words[idAt] as number, words[idAt + 1] as number);
      if (slot >= 0) learned.addDrop(slot, reason);
      const when = time(u64(words, at + dropEventLayout.timeNs / 4));
      const side = words[at + dropEventLayout.side / 4] as number;
      const ifindex = words[at + dropEventLayout.ifindex / 4] as number;
      const namespace = namespaceOf(words[at + dropEventLayout.key / 4 + word.kind] as number);
      const source = slot < 0 ? side : openedBySecond(flows.flagsOf(slot)) ? 1 : 0;
      emit({
        kind: "drop",
        ...(slot < 0 ? partiesOfDrop(words, at, when) : partiesOf(flows.flow(slot), when)),
        reason: reasonName(reason),
        fromSource: side === source,
        tcpFlags: tcpFlagNames(words[at + dropEventLayout.tcpFlags / 4] as number),
        bytes: words[at + dropEventLayout.bytes / 4] as number,
        interface: ifindex === 0 ? null : places.interfaceName(namespace, ifindex),
      });
    },
    expire(nowNs) {
      tracker.expire(nowNs);
    },
    ended(id) {
      if (interim.size > 0) interim.delete(id);
      if (hellos.flows > 0) hellos.forget(id);
    },
  };
}

function isRequest(parser: HeadParser, bytes: Uint8Array): boolean {
  return parser.isRequest?.(bytes) ?? parser.request(bytes) !== undefined;
}
