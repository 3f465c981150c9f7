/**
 * What programs of another version remember goes over into our maps, field by field as their own types name them. A
 * layout that says nothing of itself, or lacks a field, is left: then connections are those older than the agent.
 */
import {
  admittedLayout,
  connectionKeyLayout,
  connectionLayout,
  flowKeyLayout,
} from "../../generated/layout.ts";
import { mapAccess, readBatches } from "../../kernel/bpf.ts";
import { type Layout, type MapLayout, mapLayout } from "../../kernel/btf-layout.ts";
import type { Libc } from "../../kernel/libc.ts";
import { SIDE } from "./connections.ts";

const BATCH = 1024;
/** Of an entry, so that a batch has 1 MB at most; ours have 68 bytes. */
const MOST_BYTES = 512;

/** Bytes of a field here, and where it lies there. */
interface Move {
  readonly from: number;
  readonly to: number;
  readonly sizeBytes: number;
}

const keyFields = {
  "flow.address": { to: flowKeyLayout.address, sizeBytes: 32 },
  "flow.port": { to: flowKeyLayout.port, sizeBytes: 4 },
  "flow.netns": { to: flowKeyLayout.netns, sizeBytes: 2 },
  "flow.protocol": { to: flowKeyLayout.protocol, sizeBytes: 1 },
  "flow.echo": { to: flowKeyLayout.echo, sizeBytes: 1 },
  endpoint: { to: connectionKeyLayout.endpoint, sizeBytes: 4 },
} as const;

/**
 * The connections that were allowed, with the side that opened each; they are judged anew when they send. What our map
 * has already stays as it is.
 *
 * @returns how many; undefined where the layout cannot be read. @throws X0_FLOWS_KERNEL_CALL
 */
export function carryConnections(
  libc: Libc,
  maps: { readonly from: number; readonly to: number },
  nowTicks: number,
): number | undefined {
  const layout = mapLayout(libc, maps.from);
  const verdict = layout?.value.fields.get("verdict");
  const moves = layout && movesOf(layout.key);
  if (layout === undefined || moves === undefined || verdict?.sizeBytes !== 4) return undefined;
  const sizes = { key: connectionKeyLayout.size, value: connectionLayout.size };
  return carry(libc, maps, { layout, sizes }, (from, to) => {
    for (const move of moves) to.key.set(from.key.subarray(move.from, move.from + move.sizeBytes), move.to);
    const value = new DataView(to.value.buffer, to.value.byteOffset);
    const opener =
      new DataView(from.value.buffer, from.value.byteOffset).getUint32(verdict.offset, true) & SIDE;
    value.setUint32(connectionLayout.verdict, opener, true);
    value.setUint32(connectionLayout.last, nowTicks, true);
  });
}

/** Addresses of names, where their layout is ours. @returns as `carryConnections` */
export function carryAdmitted(
  libc: Libc,
  maps: { readonly from: number; readonly to: number },
): number | undefined {
  const layout = mapLayout(libc, maps.from);
  if (layout === undefined || textOf(layout) !== textOf(mapLayout(libc, maps.to))) return undefined;
  const sizes = { key: layout.key.sizeBytes, value: admittedLayout.size };
  return carry(libc, maps, { layout, sizes }, (from, to) => {
    to.key.set(from.key);
    to.value.set(from.value);
  });
}

interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

function carry(
  libc: Libc,
  maps: { readonly from: number; readonly to: number },
  { layout, sizes }: { layout: MapLayout; sizes: { readonly key: number; readonly value: number } },
  move: (from: Entry, to: Entry) => void,
): number | undefined {
  const [keyBytes, valueBytes] = [layout.key.sizeBytes, layout.value.sizeBytes];
  if (keyBytes + valueBytes > MOST_BYTES) return undefined;
  using freeing = new DisposableStack();
  const allocate = (bytes: number) => freeing.adopt(libc.allocate(bytes), (memory) => memory.free());
  const [keys, values, cursor] = [allocate(BATCH * keyBytes), allocate(BATCH * valueBytes), allocate(8)];
  const [key, value] = [allocate(sizes.key), allocate(sizes.value)];
  const access = mapAccess(libc);
  let count = 0;
  readBatches(libc, maps.from, { keys, values, cursor, capacity: BATCH }, (read) => {
    for (let index = 0; index < read; index++) {
      key.bytes.fill(0);
      value.bytes.fill(0);
      move(
        {
          key: keys.bytes.slice(index * keyBytes, (index + 1) * keyBytes),
          value: values.bytes.slice(index * valueBytes, (index + 1) * valueBytes),
        },
        { key: key.bytes, value: value.bytes },
      );
      if (access.insert(maps.to, key, value) === 0) count++;
    }
  });
  return count;
}

function movesOf(key: Layout): Move[] | undefined {
  const moves: Move[] = [];
  for (const [name, { to, sizeBytes }] of Object.entries(keyFields)) {
    const field = key.fields.get(name);
    if (field?.sizeBytes !== sizeBytes) return undefined;
    moves.push({ from: field.offset, to, sizeBytes });
  }
  return moves;
}

function textOf(layout: MapLayout | undefined): string {
  const each = (part: Layout | undefined) => [part?.sizeBytes, [...(part?.fields ?? [])]];
  return JSON.stringify([each(layout?.key), each(layout?.value)]);
}
