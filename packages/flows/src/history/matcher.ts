/**
 * The filters of flows on blocks: what `compileFilter` says of a flow, said of all rows of a block without making a
 * flow. Each test narrows a mask in a tight loop; dictionaries come first, since they are small and mostly say no.
 */

import {
  containerTest,
  inPrefix,
  nameTest,
  parseAddressPrefix,
  processTest,
  requireMoment,
  requireProtocol,
  unitTest,
} from "../filter.ts";
import type { FlowProcess, FlowQuery } from "../flow.ts";
import { protocolNumbers } from "../protocols.ts";
import { verdictOf } from "../recording/record.ts";
import { verdicts } from "../verdicts.ts";
import { BLOCK_ROWS, type Block, type BlockSpan } from "./block.ts";
import { column } from "./columns.ts";
import { keysOfQuery } from "./keys.ts";
import { parseQualified } from "./rows.ts";
import { mayHave, SKETCH_FORM, type Sketch } from "./sketch.ts";

export interface Matcher {
  /** Whether flows of a run may match at all. */
  mayBeOf(run: number): boolean;
  /** Whether some row of a block may match; without reading it. */
  mayMatch(span: BlockSpan): boolean;
  /** Whether a block has all that is asked for exactly. */
  mayHave(sketch: Sketch): boolean;
  /** Whether `mayHave` can ever say no. */
  readonly asksExactly: boolean;
  /**
   * Rows that match, 1 for each; undefined where none does. Valid until the next call.
   * @param span of the block where that is known: most lie within the time that is asked for, all of them.
   */
  rows(block: Block, span?: BlockSpan): Uint8Array | undefined;
}

/** Sets what does not match to 0. @returns false where nothing matches, then the mask does not matter. */
type Narrow = (block: Block, mask: Uint8Array) => boolean;

/** @throws X0_FLOWS_INVALID_FILTER */
export function compileMatcher(query: Omit<FlowQuery, "limit">, nowMs: number): Matcher {
  const tests: Narrow[] = [];
  const keys = keysOfQuery(query, SKETCH_FORM);
  const olderKeys = keysOfQuery(query, 1);
  const sinceMs = query.since === undefined ? undefined : requireMoment("since", query.since, nowMs);
  const untilMs = query.until === undefined ? undefined : requireMoment("until", query.until, nowMs);
  const id = query.id === undefined ? undefined : parseQualified(query.id);
  const byProcess = (test: (process: FlowProcess | null) => boolean): void => {
    tests.push((block, mask) =>
      keepListed(block, mask, listed(block.processes, test), [column.process, column.peerProcess]),
    );
  };
  if (query.ip !== undefined) {
    const prefix = parseAddressPrefix(query.ip);
    tests.push((block, mask) => {
      const isWanted = block.addressesWhere((bytes) => inPrefix(bytes, prefix), prefix);
      return keepListed(block, mask, isWanted, [column.source, column.destination]);
    });
  }
  if (query.process !== undefined) byProcess(processTest(query.process));
  if (query.unit !== undefined) byProcess(unitTest(query.unit));
  if (query.container !== undefined) byProcess(containerTest(query.container));
  if (query.name !== undefined) {
    const test = nameTest(query.name);
    const names = [column.sourceName, column.destinationName, column.serverName];
    tests.push((block, mask) =>
      keepListed(
        block,
        mask,
        listed(block.strings, (text) => text !== "" && test(text)),
        names,
      ),
    );
  }
  if (id !== undefined)
    tests.push((block, mask) => keep(mask, block.column(column.id), (each) => each === id.id));
  if (query.protocol !== undefined) {
    const wanted = requireProtocol(query.protocol);
    tests.push((block, mask) =>
      keep(mask, block.column(column.protocol), (each) => (each & 0xff) === wanted),
    );
  }
  if (query.dropped !== undefined) {
    const wanted = query.dropped === "true";
    tests.push((block, mask) => keep(mask, block.column(column.drops), (drops) => drops > 0 === wanted));
  }
  if (query.verdict !== undefined) {
    const wanted = verdicts.indexOf(query.verdict);
    tests.push((block, mask) => keep(mask, block.column(column.kind), (kind) => verdictOf(kind) === wanted));
  }
  if (query.port !== undefined) {
    const { port } = query;
    tests.push((block, mask) => keepPort(block, mask, port));
  }
  const isSince: Narrow = (block, mask) =>
    keep(mask, block.column(column.end), (end) => end >= (sinceMs ?? 0));
  const isUntil: Narrow = (block, mask) =>
    keep(mask, block.column(column.start), (start) => start < (untilMs ?? 0));
  let scratch = new Uint8Array(BLOCK_ROWS);
  return {
    mayBeOf: (run) => query.id === undefined || run === id?.run,
    mayMatch: (span) =>
      (sinceMs === undefined || span.maxEndMs >= sinceMs) &&
      (untilMs === undefined || span.minStartMs < untilMs),
    mayHave: (sketch) =>
      (sketch.form === SKETCH_FORM ? keys : olderKeys).every((key) => mayHave(sketch, key)),
    asksExactly: keys.length > 0,
    rows(block, span) {
      if (scratch.length < block.count) scratch = new Uint8Array(block.count);
      const mask = scratch.subarray(0, block.count).fill(1);
      if (!tests.every((test) => test(block, mask))) return undefined;
      if (sinceMs !== undefined && !(span !== undefined && span.minEndMs >= sinceMs) && !isSince(block, mask))
        return undefined;
      if (
        untilMs !== undefined &&
        !(span !== undefined && span.maxStartMs < untilMs) &&
        !isUntil(block, mask)
      )
        return undefined;
      return mask;
    },
  };
}

function keep(mask: Uint8Array, values: Float64Array, test: (value: number) => boolean): boolean {
  let some = false;
  for (let row = 0; row < mask.length; row++) {
    if (mask[row] === 0) continue;
    if (test(values[row] as number)) some = true;
    else mask[row] = 0;
  }
  return some;
}

function keepPort(block: Block, mask: Uint8Array, port: number): boolean {
  const sources = block.column(column.sourcePort);
  const destinations = block.column(column.destinationPort);
  let some = false;
  for (let row = 0; row < mask.length; row++) {
    // What ICMP keeps there are no ports: they show as 0.
    if (mask[row] === 0) continue;
    if (port !== 0 && sources[row] !== port && destinations[row] !== port) mask[row] = 0;
    else {
      const isIcmp = isIcmpNumber(block.value(column.protocol, row) & 0xff);
      const isPort = isIcmp ? port === 0 : sources[row] === port || destinations[row] === port;
      if (isPort) some = true;
      else mask[row] = 0;
    }
  }
  return some;
}

function isIcmpNumber(protocol: number): boolean {
  return protocol === protocolNumbers.icmp || protocol === protocolNumbers.icmpv6;
}

function listed<T>(list: readonly T[], test: (entry: T) => boolean): Uint8Array | undefined {
  let isWanted: Uint8Array | undefined;
  for (const [index, entry] of list.entries()) {
    if (!test(entry)) continue;
    isWanted ??= new Uint8Array(list.length);
    isWanted[index] = 1;
  }
  return isWanted;
}

/** Keeps rows in which one of the columns points to a wanted entry. */
function keepListed(
  block: Block,
  mask: Uint8Array,
  isWanted: Uint8Array | undefined,
  columns: readonly number[],
): boolean {
  if (isWanted === undefined) return false;
  const values = columns.map((each) => block.column(each));
  let some = false;
  for (let row = 0; row < mask.length; row++) {
    if (mask[row] === 0) continue;
    let isKept = false;
    for (let index = 0; index < values.length; index++)
      if (isWanted[(values[index] as Float64Array)[row] as number] === 1) isKept = true;
    if (isKept) some = true;
    else mask[row] = 0;
  }
  return some;
}
