/**
 * All flows of a time, each once, with its latest state, for whoever has to look at every one: a row at a time from
 * columns, without an object a flow, and in slices, so that recording goes on meanwhile.
 */
import type { FlowProcess } from "../flow.ts";
import { placeOf, verdictOf } from "../recording/record.ts";
import { type Block, liveBlock } from "./block.ts";
import { column } from "./columns.ts";
import { type AddressTable, createAddressTable } from "./dictionaries.ts";
import type { BlockEntry } from "./file.ts";
import { pauses } from "./pauses.ts";
import type { QuerySources } from "./query.ts";

/** Addresses that have a number at once: 16 MB with their table. */
const MOST_ADDRESSES = 262_144;

export interface ReplayRange {
  /** Flows with a packet since then. */
  readonly sinceMs: number;
  /** Flows that began before then. */
  readonly untilMs: number;
}

/** A flow as its row has it; valid until the next one. */
export interface PastFlow {
  run: number;
  id: number;
  /** Index of `places`. */
  place: number;
  /** Index of `verdicts`. */
  verdict: number;
  /** Whether this host's side opened it, as a record says. */
  isEgress: boolean;
  netns: number;
  startMs: number;
  endMs: number;
  protocol: number;
  sourceFlags: number;
  destinationFlags: number;
  /** As a record has them, also of ICMP. */
  sourcePort: number;
  destinationPort: number;
  icmp: number;
  /** Numbers of addresses. */
  source: number;
  destination: number;
  sourceName: string;
  destinationName: string;
  process: FlowProcess | null;
  peerProcess: FlowProcess | null;
  sentPackets: number;
  receivedPackets: number;
}

export interface Replay {
  /** 16 bytes of a number that a flow has. */
  address(number: number): Uint8Array;
  /**
   * @param visit gets each flow.
   * @param forget numbers of addresses begin anew.
   * @returns false where the signal ended it before its time.
   */
  flows(visit: (flow: PastFlow) => void, forget: () => void, signal: AbortSignal): Promise<boolean>;
  /** Every process that a block of the time names, some more than once: without reading its rows. */
  processes(visit: (process: FlowProcess) => void, signal: AbortSignal): Promise<boolean>;
}

export function openReplay(sources: QuerySources, range: ReplayRange): Replay {
  const { store, recorder, run } = sources;
  const addresses = createAddressTable();

  const entries = (): BlockEntry[] =>
    store.partitions.flatMap((partition) =>
      partition.entries.filter(
        (entry) =>
          entry.kind === "flows" &&
          entry.maxEndMs >= range.sinceMs &&
          entry.minStartMs < range.untilMs &&
          !recorder.isTail(entry.number),
      ),
    );
  /** What waits and what goes on, at one moment: a flow that ends meanwhile would be in neither place. */
  const own = (each: (block: Block, isCurrent: (row: number) => boolean) => void): void => {
    const { open, dictionaries, young, piles } = recorder;
    const latest = (block: Block, number: number): ((row: number) => boolean) => {
      const ids = block.column(column.id);
      return (row) => open.isLatest(ids[row] as number, number, row);
    };
    for (const { kind, number, rows } of piles) {
      const block = liveBlock(rows, dictionaries);
      each(block, kind === "interim" ? latest(block, number) : () => true);
    }
    each(liveBlock(young.rows, dictionaries), young.isHere);
    for (const number of open.blocks())
      store.read(number, (file, entry) => {
        const block = file.block(entry);
        each(block, latest(block, number));
      });
  };
  const inSlices = async (
    blocks: readonly BlockEntry[],
    each: (block: Block, entry: BlockEntry) => void,
    signal: AbortSignal,
  ): Promise<boolean> => {
    const pause = pauses();
    for (const entry of blocks) {
      if (signal.aborted) return false;
      store.read(entry.number, (file) => each(file.block(entry), entry));
      await pause();
    }
    return !signal.aborted;
  };

  return {
    address: (number) => new Uint8Array(addresses.words.buffer, 16 * number, 16),
    async flows(visit, forget, signal) {
      const of = (block: Block, ofRun: number, isCurrent: (row: number) => boolean): void => {
        if (addresses.count > MOST_ADDRESSES) {
          addresses.clear();
          forget();
        }
        visitRows({ block, run: ofRun, range, addresses, isCurrent, visit });
      };
      const written = entries();
      own((block, isCurrent) => of(block, run, isCurrent));
      return inSlices(written, (block, entry) => of(block, entry.run, () => true), signal);
    },
    async processes(visit, signal) {
      const of = (block: Block): void => {
        for (const process of block.processes) if (process !== null) visit(process);
      };
      own((block) => {
        if (block.count > 0) of(block);
      });
      return inSlices(entries(), of, signal);
    },
  };
}

interface Rows {
  readonly block: Block;
  readonly run: number;
  readonly range: ReplayRange;
  readonly addresses: AddressTable;
  readonly isCurrent: (row: number) => boolean;
  readonly visit: (flow: PastFlow) => void;
}

function visitRows({ block, run, range, addresses, isCurrent, visit }: Rows): void {
  if (block.count === 0) return;
  const of = (name: keyof typeof column): Float64Array => block.column(column[name]);
  const [kinds, netns, starts, ends, ids] = [of("kind"), of("netns"), of("start"), of("end"), of("id")];
  const [protocols, icmps] = [of("protocol"), of("icmp")];
  const [sourcePorts, destinationPorts] = [of("sourcePort"), of("destinationPort")];
  const [sources, destinations] = [of("source"), of("destination")];
  const [sourceNames, destinationNames] = [of("sourceName"), of("destinationName")];
  const [processes, peerProcesses] = [of("process"), of("peerProcess")];
  const [sent, received] = [of("sentPackets"), of("receivedPackets")];
  /** Place in the block → number, plus one. */
  const numbers = new Uint32Array(block.addressCount);
  const words = new Uint32Array(4);
  const bytes = new Uint8Array(words.buffer);
  const numberOf = (place: number): number => {
    const known = numbers[place] as number;
    if (known !== 0) return known - 1;
    block.address(place, bytes, 0);
    const number = addresses.indexOf(words, 0);
    numbers[place] = number + 1;
    return number;
  };
  const flow = { run } as PastFlow;
  for (let row = 0; row < block.count; row++) {
    const endMs = ends[row] as number;
    const startMs = starts[row] as number;
    if (endMs < range.sinceMs || startMs >= range.untilMs || !isCurrent(row)) continue;
    const kind = kinds[row] as number;
    const protocol = protocols[row] as number;
    flow.id = ids[row] as number;
    flow.place = placeOf(kind);
    flow.verdict = verdictOf(kind);
    flow.isEgress = kind >>> 24 !== 0;
    flow.netns = netns[row] as number;
    flow.startMs = startMs;
    flow.endMs = endMs;
    flow.protocol = protocol & 0xff;
    flow.sourceFlags = (protocol >>> 8) & 0xff;
    flow.destinationFlags = (protocol >>> 16) & 0xff;
    flow.sourcePort = sourcePorts[row] as number;
    flow.destinationPort = destinationPorts[row] as number;
    flow.icmp = icmps[row] as number;
    flow.source = numberOf(sources[row] as number);
    flow.destination = numberOf(destinations[row] as number);
    flow.sourceName = block.strings[sourceNames[row] as number] as string;
    flow.destinationName = block.strings[destinationNames[row] as number] as string;
    flow.process = block.processes[processes[row] as number] as FlowProcess | null;
    flow.peerProcess = block.processes[peerProcesses[row] as number] as FlowProcess | null;
    flow.sentPackets = sent[row] as number;
    flow.receivedPackets = received[row] as number;
    visit(flow);
  }
}
