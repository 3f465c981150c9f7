/**
 * Tables as keys and values of one BPF_MAP_TYPE_LPM_TRIE, ready for batch updates.
 *
 * | part | key: u32 length in bits, then bytes, numbers big endian | value: two u32 |
 * |---|---|---|
 * | peers | 0, address (16); 32 + its bits | peer, wider, with the highest bit where it is a node's |
 * | workloads | 0xc000_0000 \| endpoint; 32 | peer, wider |
 * | endpoints | 0x8000_0000 \| policy; 32 | default deny's id, policy whose rules hold |
 * | rules | policy + 1, peer, protocol (1), port (2); 64 + bits | class, id |
 */
import { nameAutomaton } from "../names/automaton.ts";
import {
  type EndpointEntry,
  type PeerEntry,
  type RuleEntry,
  ruleClass,
  type Tables,
  type WorkloadEntry,
} from "../tables.ts";

export const KEY_BYTES = 24;
export const VALUE_BYTES = 8;

const PEERS = 0;
const ENDPOINTS = 0x8000_0000;
const WORKLOADS = 0xc000_0000;
/** In a peer's second number. */
const NODE = 0x8000_0000;
/** `none` carries it, so that class << 28 | its complement is the 0 of what is not there. */
export const NO_ID = 0x0fff_ffff;

export interface EncodedTables {
  /** KEY_BYTES each. */
  readonly keys: Uint8Array;
  /** VALUE_BYTES each. */
  readonly values: Uint8Array;
  readonly count: number;
  /** States of the automaton that matches names: names/automaton.ts. Empty where there are none. */
  readonly automaton: Uint8Array;
}

/** @throws X0_FLOWS_POLICY_TOO_LARGE */
export function encode({ peers, workloads, endpoints, rules, names }: Tables): EncodedTables {
  const count = peers.length + workloads.length + endpoints.length + rules.length;
  const keys = new Uint8Array(count * KEY_BYTES);
  const values = new Uint8Array(count * VALUE_BYTES);
  const keyView = new DataView(keys.buffer);
  const valueView = new DataView(values.buffer);
  let at = 0;
  const next = (bits: number, part: number, first: number, second: number): number => {
    const key = at * KEY_BYTES;
    keyView.setUint32(key, bits, true);
    keyView.setUint32(key + 4, part);
    valueView.setUint32(at * VALUE_BYTES, first, true);
    valueView.setUint32(at * VALUE_BYTES + 4, second, true);
    at++;
    return key + 8;
  };
  for (const { address, bits, peer, wider, isNode } of peers) {
    const second = isNode ? (wider | NODE) >>> 0 : wider;
    keys.set(address, next(32 + bits, PEERS, peer, second));
  }
  for (const { endpoint, peer, wider } of workloads) next(32, WORKLOADS + endpoint, peer, wider);
  for (const { policy, defaultDenyId, rules: holding } of endpoints) {
    next(32, ENDPOINTS + policy, defaultDenyId, holding);
  }
  for (const rule of rules) {
    const id = rule.class === ruleClass.none ? NO_ID : rule.id;
    const key = next(64 + rule.bits, rule.policy + 1, rule.class, id);
    keyView.setUint32(key, rule.peer);
    keyView.setUint8(key + 4, rule.protocol);
    keyView.setUint16(key + 5, rule.port);
  }
  return { keys, values, count, automaton: nameAutomaton(names) };
}

export function decode({ keys, values, count }: EncodedTables): Omit<Tables, "names"> {
  const keyView = new DataView(keys.buffer, keys.byteOffset, keys.byteLength);
  const valueView = new DataView(values.buffer, values.byteOffset, values.byteLength);
  const peers: PeerEntry[] = [];
  const workloads: WorkloadEntry[] = [];
  const endpoints: EndpointEntry[] = [];
  const rules: RuleEntry[] = [];
  for (let index = 0; index < count; index++) {
    const key = index * KEY_BYTES;
    const bits = keyView.getUint32(key, true);
    const part = keyView.getUint32(key + 4);
    const first = valueView.getUint32(index * VALUE_BYTES, true);
    const second = valueView.getUint32(index * VALUE_BYTES + 4, true);
    if (part === PEERS) {
      const address = keys.slice(key + 8, key + 24);
      const isNode = second >= NODE;
      peers.push({ address, bits: bits - 32, peer: first, wider: isNode ? second - NODE : second, isNode });
    } else if (part >= WORKLOADS) {
      workloads.push({ endpoint: part - WORKLOADS, peer: first, wider: second });
    } else if (part >= ENDPOINTS) {
      endpoints.push({ policy: part - ENDPOINTS, defaultDenyId: first, rules: second });
    } else {
      rules.push({
        policy: part - 1,
        peer: keyView.getUint32(key + 8),
        protocol: keyView.getUint8(key + 12),
        port: keyView.getUint16(key + 13),
        bits: bits - 64,
        class: first as RuleEntry["class"],
        id: first === ruleClass.none ? 0 : second,
      });
    }
  }
  return { peers, workloads, endpoints, rules };
}
