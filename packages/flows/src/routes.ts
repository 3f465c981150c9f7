/**
 * Flows over HTTP: lists from memory and disk, events, summaries, rates, and the live stream. A follower has a queue of
 * its own, so that one that reads slowly holds up nobody; what it missed it is told.
 */
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
import { flowsFail } from "./errors.ts";
import { flowEventSchema } from "./event.ts";
import { type FlowQuery, flowChangeSchema, flowListSchema, flowQuerySchema } from "./flow.ts";
import type { HistoryCalls } from "./history/contract.ts";
import { type EventQuery, eventListSchema, eventQuerySchema } from "./history/event-schema.ts";
import { mergedFlows } from "./history/merge.ts";
import { qualified } from "./history/rows.ts";
import type { Rates } from "./rates.ts";
import { type SummaryQuery, summaryQuerySchema, summarySchema } from "./summary/schema.ts";

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
  .pick({
    ip: true,
    port: true,
    protocol: true,
    process: true,
    unit: true,
    container: true,
    name: true,
    dropped: true,
    verdict: true,
  })
  .extend({
    updates: z.enum(["true", "false"]).default("false").describe("also tell changes of running flows"),
  });

interface FlowSources {
  /** @throws X0_FLOWS_OFF */
  captured(): Channel<CaptureContract>;
  /** None where flows are not kept on disk. */
  kept(): HistoryCalls | undefined;
  /** What makes the ids of this run unique for good. */
  readonly run: number;
  readonly rates: Rates;
}

export function flowRoutes({ captured, kept, run, rates }: FlowSources): readonly (Route | StreamRoute)[] {
  let followers = 0;
  const history = (): HistoryCalls => {
    const calls = kept();
    if (calls !== undefined) return calls;
    throw flowsFail("X0_FLOWS_NO_HISTORY", "flows are not kept on disk", {
      hint: "set flows.history = true",
    });
  };
  return [
    {
      kind: "json",
      method: "GET",
      path: "/api/v1/flows",
      summary: "Flows that match all filters, newest first",
      query: flowQuerySchema,
      response: flowListSchema,
      handle({ query }) {
        const capture = captured();
        const live = (part: FlowQuery) => capture.call("list", part);
        return mergedFlows({ live, kept: kept()?.flows, run }, query as FlowQuery, Date.now());
      },
    },
    {
      kind: "json",
      method: "GET",
      path: "/api/v1/flows/events",
      summary: "DNS, drops and scans that match all filters, newest first",
      query: eventQuerySchema,
      response: eventListSchema,
      handle: async ({ query }) => history().events(query as EventQuery),
    },
    {
      kind: "json",
      method: "GET",
      path: "/api/v1/flows/summary",
      summary: "The largest of a stretch of time: talkers, services, processes, drops, new destinations",
      query: summaryQuerySchema,
      response: summarySchema,
      handle: async ({ query }) => history().summary(query as SummaryQuery),
    },
    {
      kind: "json",
      method: "GET",
      path: "/api/v1/flows/totals",
      summary: "Rates of the whole host, a point a second for the last ten minutes",
      response: z.object({ points: z.array(ratePointSchema) }),
      handle: async () => ({ points: rates.points() }),
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
      open: (request) => follow({ channel: captured(), rates, run, id: ++followers }, request),
    },
  ];
}

interface Follower {
  readonly channel: Channel<CaptureContract>;
  readonly rates: Rates;
  readonly run: number;
  readonly id: number;
}

async function* follow(
  { channel, rates, run, id }: Follower,
  { query, signal }: RouteRequest,
): AsyncIterable<StreamEvent> {
  const { updates, ...filters } = query as z.infer<typeof followQuerySchema>;
  const queue = boundedQueue<StreamEvent>(QUEUED_EVENTS);
  let told = 0;
  const stopListening = channel.on("changes", (message) => {
    if (message.id !== id) return;
    for (const { change, flow } of message.changes)
      queue.push({ event: "flow", data: { change, flow: { ...flow, id: qualified(run, flow.id) } } });
    told += message.dropped;
  });
  const stopInsight = channel.on("insight", (message) => {
    if (message.id !== id) return;
    for (const event of message.events) {
      const flow = event.flow === null ? null : qualified(run, event.flow);
      queue.push({ event: "insight", data: { ...event, flow } });
    }
  });
  const stopRates = rates.follow((point) => queue.push({ event: "totals", data: point }));
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
