import type { Route } from "@x0tta6bl4/core";
import { flowsFail } from "../../errors.ts";
import type { PolicyCompiler } from "../compiler/contract.ts";
import type { PolicyConfig } from "../config.ts";
import type { Repository } from "../repository.ts";
import { APPLY_BYTES } from "../schema.ts";
import type { Surroundings } from "./rehearsals.ts";
import {
  type RehearseBody,
  rehearsalSchema,
  rehearseBodySchema,
  type SuggestQuery,
  suggestionSchema,
  suggestQuerySchema,
} from "./schema.ts";
import type { RecordedTraffic } from "./service.ts";

interface RehearsalSources {
  readonly config: PolicyConfig;
  readonly nowMs: () => number;
  /** @throws X0_FLOWS_POLICY_OFF */
  opened(): { readonly repository: Repository; readonly compiler: PolicyCompiler };
  /** Undefined where no part of this node records flows. */
  recorded(): RecordedTraffic | undefined;
}

/** Both look at every flow of the time, which takes seconds a million; they end when the client goes. */
export function rehearsalRoutes({ config, nowMs, opened, recorded }: RehearsalSources): readonly Route[] {
  const surroundings = async (): Promise<Surroundings> => {
    const traffic = recorded();
    if (traffic === undefined)
      throw flowsFail("X0_FLOWS_OFF", "no part of this node records flows", { hint: "x0 doctor" });
    const { repository, compiler } = opened();
    const known = await repository.known();
    const { held, waiting, world } = repository.status();
    const { documents = [] } = (waiting?.held ?? held)?.stored ?? {};
    return { config, compiler, recorded: traffic, documents, world, known, nowMs: nowMs() };
  };
  return [
    {
      kind: "json",
      method: "POST",
      path: "/api/v1/policy/rehearse",
      summary: "Which recorded connections would be dropped if documents were applied, by which rule",
      body: rehearseBodySchema,
      maxBodyBytes: APPLY_BYTES,
      response: rehearsalSchema,
      async handle({ body, signal }) {
        const { rehearsalOf } = await import("./rehearsals.ts");
        return rehearsalOf(await surroundings(), body as RehearseBody, signal);
      },
    },
    {
      kind: "json",
      method: "GET",
      path: "/api/v1/policy/suggest",
      summary: "Documents that allow all recorded connections, and nothing else",
      query: suggestQuerySchema,
      response: suggestionSchema,
      async handle({ query, signal }) {
        const { suggestionOf } = await import("./rehearsals.ts");
        return suggestionOf(await surroundings(), query as SuggestQuery, signal);
      },
    },
  ];
}
