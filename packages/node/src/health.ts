import type { Feature, Health, Part, State } from "@x0tta6bl4/core";
import { z } from "zod";

const state = z.enum(["on", "degraded", "off", "failed"]);

const feature = z.object({
  name: z.string(),
  state,
  detail: z.string().optional().describe("how it works here"),
  reason: z.string().optional().describe("why it is not fully on"),
  hint: z.string().optional().describe("what turns it on"),
});

/** `GET /api/v1/health` */
export const agentHealthSchema = z.object({
  state: z.enum(["starting", "on", "degraded", "failed", "stopping"]),
  version: z.string(),
  host: z.string(),
  pid: z.number().int(),
  start: z.iso.datetime().describe("when the agent's process started"),
  parts: z.array(z.object({ name: z.string(), state, features: z.array(feature) })),
});

export type AgentHealth = z.infer<typeof agentHealthSchema>;

export interface NamedPart {
  readonly name: string;
  readonly part: Part;
}

/** The worst of the parts; a part that is off by choice or privilege does not make the whole worse. */
export function overallState(healths: readonly Health[]): "on" | "degraded" | "failed" {
  const states = new Set<State>(healths.map((health) => health.state));
  if (states.has("failed")) return "failed";
  return states.has("degraded") ? "degraded" : "on";
}

export function healthOf(parts: readonly NamedPart[]): AgentHealth["parts"] {
  return parts.map(({ name, part }) => {
    const { state: partState, features } = part.health();
    return { name, state: partState, features: features.map((one: Feature) => ({ ...one })) };
  });
}
