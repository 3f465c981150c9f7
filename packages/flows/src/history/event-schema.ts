/** Events as the API gives them: shapes of the question and of the answer. Apart from what the worker threads load. */
import { z } from "zod";
import { flowEventSchema } from "../event.ts";
import { flowListSchema } from "../flow.ts";
import { keptKinds } from "./event-query.ts";

export const eventQuerySchema = z.object({
  kind: z.enum(keptKinds).optional().describe("only these"),
  ip: z.string().optional().describe("address or prefix of either side"),
  name: z
    .string()
    .optional()
    .describe("name that DNS was asked for, or of either side; *.example.org for all below"),
  flow: z.string().optional().describe("only of the flow with this id"),
  since: z.string().optional().describe("15m, 2h or an ISO 8601 time"),
  until: z.string().optional().describe("likewise"),
  limit: z.coerce.number().int().min(1).max(10_000).default(100).describe("most events in one answer"),
  after: z.string().optional().describe("`next` of the answer before"),
});

export type EventQuery = z.infer<typeof eventQuerySchema>;

export const eventListSchema = z.object({
  events: z.array(flowEventSchema).describe("newest first"),
  next: z.string().nullable().describe("pass it as `after` to read on; null at the end"),
  covers: flowListSchema.shape.covers,
});

export type EventList = z.infer<typeof eventListSchema>;
