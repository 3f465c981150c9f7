import {
  boundedQueue,
  type Channel,
  type Route,
  type RouteRequest,
  type StreamEvent,
  type StreamRoute,
} from "@x0tta6bl4/core";
import { z } from "zod";
import type { CaptureContract } from "./capture/contract.ts";
import { type FlowEvent, flowEventSchema } from "./event.ts";
import { compileFilter } from "./filter.ts";
import { type FlowQuery, flowChangeSchema, flowListSchema, flowQuerySchema } from "./flow.ts";
import type { RateHistory } from "./rates.ts";

const QUEUED_EVENTS = 10_000;

const ratePointSchema = z.object({
  time: z.iso.datetime(),
  bytesPerSecond: z.number(),
  packetsPerSecond: z.number(),
  activeFlows: z.number().int(),
  lostPackets: z.number().int().describe("since the start"),
  lostEvents: z.number().int().describe("since the start"),
});

const followQuerySchema = flowQuerySchema
  .pick({ ip: true, port: true, protocol: true, process: true })
  .extend({
    updates: z.enum(["true", "false"]).default("false").describe("also tell changes of running flows"),
  });

interface FlowSources {
  /** @throws X0_FLOWS_OFF */
  captured(): Channel<CaptureContract>;
  readonly history: RateHistory;
}

export function flowRoutes({ captured, history }: FlowSources): readonly (Route | StreamRoute)[] {
  let followers = 0;
  return [
    {
      kind: "json",
      method: "GET",
      path: "/api/v1/flows",
      summary: "Flows that match all filters, newest first",
      query: flowQuerySchema,
      response: flowListSchema,
      handle: ({ query }) => captured().call("list", query as FlowQuery),
    },
    {
      kind: "json",
      method: "GET",
      path: "/api/v1/flows/totals",
      summary: "Rates of the whole host, a point a second for the last ten minutes",
      response: z.object({ points: z.array(ratePointSchema) }),
      handle: async () => ({ points: history.points() }),
    },
    {
      kind: "stream",
      path: "/api/v1/flows/follow",
      summary: "Flows as they start and end, and each second the rates of the whole host",
      query: followQuerySchema,
      events: {
        flow: flowChangeSchema,
        insight: flowEventSchema,
        totals: ratePointSchema,
        dropped: z.object({ count: z.number().int().describe("changes that found no room in a queue") }),
      },
      open: (request) => follow(captured(), history, ++followers, request),
    },
  ];
}

async function* follow(
  channel: Channel<CaptureContract>,
  history: RateHistory,
  id: number,
  { query, signal }: RouteRequest,
): AsyncIterable<StreamEvent> {
  const { updates, ...filters } = query as z.infer<typeof followQuerySchema>;
  const matches = compileFilter(filters, Date.now());
  // An event has no end of its own, and names one process only.
  const isWanted = (event: FlowEvent): boolean =>
    matches({ ...event, start: event.time, end: event.time, peerProcess: null });
  const queue = boundedQueue<StreamEvent>(QUEUED_EVENTS);
  let told = 0;
  const stopListening = channel.on("changes", (message) => {
    if (message.id !== id) return;
    for (const change of message.changes) queue.push({ event: "flow", data: change });
    told += message.dropped;
  });
  const stopInsight = channel.on("insight", (events) => {
    for (const event of events) if (isWanted(event)) queue.push({ event: "insight", data: event });
  });
  const stopRates = history.follow((point) => queue.push({ event: "totals", data: point }));
  const end = (): void => queue.close();
  signal.addEventListener("abort", end);
  try {
    await channel.call("follow", { id, query: { limit: 1, ...filters }, updates: updates === "true" });
    let reported = 0;
    for await (const event of queue) {
      yield event;
      const lost = queue.dropped + told;
      if (lost > reported) {
        yield { event: "dropped", data: { count: lost - reported } };
        reported = lost;
      }
    }
  } finally {
    signal.removeEventListener("abort", end);
    stopListening();
    stopInsight();
    stopRates();
    queue.close();
    // The capturing thread may be gone by now, and the follower with it.
    await channel.call("unfollow", id).catch(() => undefined);
  }
}
