/**
 * The flows that the table holds: merged from lists and live changes, sorted, bounded, and held still while
 * someone points at them. Values of a held row still change in place; its place does not.
 */
import type { Sort, SortKey } from "./query.ts";
import type { Flow } from "./shapes.ts";

/** One line of the table. The object stays, its `flow` is replaced when the node reports a change. */
export interface Row {
  readonly id: string;
  flow: Flow;
  startMs: number;
  endMs: number;
  /** Sort keys of the two ends, made when first asked for: they never change. */
  sourceKey?: string;
  destinationKey?: string;
}

/** The most flows kept: about 100 MB of a browser's memory, and more lines than anyone reads. */
export const rowLimit = 100_000;

export class FlowRows {
  #rows = new Map<string, Row>();
  #order: Row[] = [];
  #pending: Row[] = [];
  #sort: Sort;
  #changed = false;
  #active = 0;
  #forgotten = 0;
  readonly #limit: number;

  constructor(sort: Sort, limit: number = rowLimit) {
    this.#sort = sort;
    this.#limit = limit;
  }

  /** The table's order as of the last `settle`. */
  get order(): readonly Row[] {
    return this.#order;
  }

  /** Flows that arrived since and have no place yet. */
  get pending(): number {
    return this.#pending.length;
  }

  get size(): number {
    return this.#rows.size;
  }

  get active(): number {
    return this.#active;
  }

  /** Ended flows that were let go to stay within the limit. */
  get forgotten(): number {
    return this.#forgotten;
  }

  get(id: string): Row | undefined {
    return this.#rows.get(id);
  }

  /** All flows, in the order of their arrival. */
  all(): Iterable<Row> {
    return this.#rows.values();
  }

  /** Takes a flow in. A list may be older than the live stream: the later knowledge of a flow wins. */
  put(flow: Flow): void {
    const row = this.#rows.get(flow.id);
    if (row === undefined) this.#pending.push(this.#add(flow));
    else this.#update(row, flow);
  }

  /** Takes in a flow that stands below all others: its place is known without settling. */
  putLast(flow: Flow): void {
    const row = this.#rows.get(flow.id);
    if (row === undefined) this.#order.push(this.#add(flow));
    else this.#update(row, flow);
  }

  #add(flow: Flow): Row {
    const row = { id: flow.id, flow, startMs: Date.parse(flow.start), endMs: Date.parse(flow.end) };
    this.#rows.set(flow.id, row);
    if (flow.state === "active") this.#active++;
    return row;
  }

  #update(row: Row, flow: Flow): void {
    if (isOlder(flow, row.flow)) return;
    this.#active += Number(flow.state === "active") - Number(row.flow.state === "active");
    row.flow = flow;
    row.startMs = Date.parse(flow.start);
    row.endMs = Date.parse(flow.end);
    this.#changed = true;
  }

  sort(sort: Sort): void {
    this.#sort = sort;
    this.#changed = true;
    this.settle();
  }

  /** Gives every flow its place: O(n) when little has changed. */
  settle(): void {
    if (this.#pending.length === 0 && !this.#changed) return;
    const arrived = this.#pending;
    this.#pending = [];
    this.#changed = false;
    let order = arrived.length === 0 ? this.#order.slice() : this.#order.concat(arrived);
    if (order.length > this.#limit) order = this.#forget(order);
    this.#order = order.sort(comparator(this.#sort));
  }

  #forget(order: Row[]): Row[] {
    const ended = order.filter((row) => row.flow.state === "ended").sort((a, b) => a.endMs - b.endMs);
    const excess = order.length - Math.floor(this.#limit * 0.95);
    for (const row of ended.slice(0, excess)) this.#rows.delete(row.id);
    this.#forgotten += Math.min(excess, ended.length);
    return order.filter((row) => this.#rows.has(row.id));
  }
}

function isOlder(flow: Flow, than: Flow): boolean {
  if (flow.state !== than.state) return flow.state === "active";
  return flow.packets.sent + flow.packets.received < than.packets.sent + than.packets.received;
}

type Value = string | number;

const values: Readonly<Record<SortKey, (row: Row) => Value>> = {
  start: (row) => row.startMs,
  source: (row) => (row.sourceKey ??= endpointKey(row.flow.source)),
  destination: (row) => (row.destinationKey ??= endpointKey(row.flow.destination)),
  protocol: (row) => row.flow.protocol,
  process: (row) => row.flow.process?.comm ?? "\uffff",
  sent: (row) => row.flow.bytes.sent,
  received: (row) => row.flow.bytes.received,
  packets: (row) => row.flow.packets.sent + row.flow.packets.received,
  duration: (row) => row.endMs - row.startMs,
  interface: (row) => row.flow.interface,
  application: (row) => row.flow.application ?? "\uffff",
  rtt: (row) => row.flow.tcp?.rttMs ?? -1,
  retransmits: (row) => row.flow.tcp?.retransmits ?? -1,
  drops: (row) => row.flow.drops?.packets ?? 0,
};

function comparator({ key, descending }: Sort): (a: Row, b: Row) => number {
  const value = values[key];
  const sign = descending ? -1 : 1;
  return (a, b) => {
    const left = value(a);
    const right = value(b);
    if (left !== right) return left < right ? -sign : sign;
    return b.startMs - a.startMs || (a.id < b.id ? 1 : -1);
  };
}

/** Sorts addresses as numbers: IPv4 before IPv6, 10.9.0.0 before 10.10.0.0. */
export function endpointKey({ ip, port }: { readonly ip: string; readonly port: number }): string {
  const sorted = ip.includes(":")
    ? ipv6Key(ip)
    : ip
        .split(".")
        .map((part) => part.padStart(3, "0"))
        .join("");
  return `${ip.includes(":") ? 6 : 4}${sorted}:${String(port).padStart(5, "0")}`;
}

function ipv6Key(ip: string): string {
  const [head = "", tail] = ip.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  return [...left, ...Array<string>(gap).fill("0"), ...right].map((part) => part.padStart(4, "0")).join("");
}
