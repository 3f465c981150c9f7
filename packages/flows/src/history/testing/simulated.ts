/** A history fed with seeded traffic under a clock that only moves with it, and what it should answer. */
import type { Clock } from "@x0tta6bl4/core";
import { compileFilter } from "../../filter.ts";
import { type Flow, type FlowList, type FlowQuery, flowListSchema, flowQuerySchema } from "../../flow.ts";
import { readBatch } from "../../recording/record.ts";
import { type RecordTraffic, recordTraffic } from "../../testing/record-traffic.ts";
import { compareCursors, cursorOf } from "../cursor.ts";
import { type History, type HistoryOptions, openHistory } from "../history.ts";
import { qualified } from "../rows.ts";

export const startMs: number = Date.UTC(2026, 10, 1);

export interface Simulated {
  readonly traffic: RecordTraffic;
  history: History;
  /** Each flow's latest state, by its id. */
  readonly expected: Map<string, Flow>;
  /** Opens the folder, again after it was closed, as the run that begins now. */
  open(options?: Partial<HistoryOptions>): History;
  record(seconds: number): void;
  /** What the history should answer, newest first. */
  wanted(query?: Partial<FlowQuery>): Flow[];
  /** What it does answer, page by page. */
  read(query?: Partial<FlowQuery>): Promise<Flow[]>;
}

export function simulated(
  folder: string,
  {
    seed = 7,
    flowsPerSecond = 150,
    updateSeconds = 5,
    options = {},
  }: {
    readonly seed?: number;
    readonly flowsPerSecond?: number;
    readonly updateSeconds?: number;
    readonly options?: Partial<HistoryOptions>;
  } = {},
): Simulated {
  const traffic = recordTraffic({ seed, startMs, flowsPerSecond, updateSeconds });
  const clock: Clock = {
    nowMs: () => traffic.nowMs,
    monotonicNs: () => BigInt(traffic.nowMs) * 1_000_000n,
  };
  let run = startMs;
  const open = (more: Partial<HistoryOptions> = {}): History => {
    run = traffic.nowMs;
    return openHistory({
      folder,
      maxBytes: 1e9,
      maxAgeMs: 1e10,
      run,
      clock,
      maxFlows: 65_536,
      ...options,
      ...more,
    });
  };
  const expected = new Map<string, Flow>();
  const self: Simulated = {
    traffic,
    expected,
    history: open(),
    open(more) {
      self.history = open(more);
      return self.history;
    },
    record(seconds) {
      for (let second = 0; second < seconds; second++) {
        const batch = traffic.next();
        const reader = readBatch(batch);
        self.history.take(reader, []);
        for (let index = 0; index < batch.count; index++) {
          const flow = reader.flow(index);
          const id = qualified(run, flow.id);
          expected.set(id, { ...flow, id });
        }
      }
    },
    wanted(query = {}) {
      const matches = compileFilter(query, traffic.nowMs);
      return inOrder([...expected.values()].filter(matches));
    },
    read: (query = {}) => readAll(self.history, query),
  };
  return self;
}

export function inOrder(flows: readonly Flow[]): Flow[] {
  return flows.toSorted((a, b) => compareCursors(cursorOf(a), cursorOf(b)));
}

export async function readAll(
  history: { flows(query: FlowQuery): Promise<FlowList> },
  query: Partial<FlowQuery> = {},
): Promise<Flow[]> {
  const flows: Flow[] = [];
  let after: string | null = null;
  do {
    const asked: FlowQuery = flowQuerySchema.parse({
      limit: 1000,
      ...query,
      ...(after === null ? {} : { after }),
    });
    const page = flowListSchema.parse(await history.flows(asked));
    flows.push(...page.flows);
    after = page.next;
  } while (after !== null);
  return flows;
}
