import { type ErrorOptions, X0Error } from "@x0tta6bl4/core";
import { z } from "zod";
import { nodeFail } from "../errors.ts";

/** What every refused or failed request answers. */
export const failureSchema = z.object({
  error: z.object({
    code: z.string().describe("one of docs/errors.md"),
    message: z.string().describe("what happened"),
    hint: z.string().nullable().describe("the next thing to do"),
  }),
});

export interface Failure {
  readonly status: number;
  readonly body: z.infer<typeof failureSchema>;
}

const statusOfCode: Readonly<Record<string, number>> = {
  X0_NODE_FORBIDDEN: 403,
  X0_NODE_NOT_FOUND: 404,
  X0_NODE_NOT_READY: 503,
  X0_NODE_UNAUTHORIZED: 401,
};
const statusOfExit = { 1: 500, 2: 400, 3: 501 } as const;

/** An error as an answer. What is not an X0Error is the agent's own fault and tells nothing of its inside. */
export function failureOf(error: unknown): Failure {
  const known = error instanceof X0Error ? error : foreign(error);
  const status = statusOfCode[known.code] ?? statusOfExit[known.exit];
  return {
    status: error instanceof X0Error ? status : (clientStatus(error) ?? status),
    body: { error: { code: known.code, message: known.message, hint: known.hint ?? null } },
  };
}

function foreign(error: unknown): X0Error {
  const status = clientStatus(error);
  if (status !== undefined && error instanceof Error) return nodeFail("X0_NODE_BAD_REQUEST", error.message);
  const options: ErrorOptions = { hint: "the agent's log says more", cause: error };
  return nodeFail("X0_NODE_INTERNAL", "the agent failed on this request", options);
}

/** Fastify's own refusals (malformed JSON, a body too large) carry a 4xx status. */
function clientStatus(error: unknown): number | undefined {
  const { statusCode } = error as { statusCode?: number };
  return statusCode !== undefined && statusCode >= 400 && statusCode < 500 ? statusCode : undefined;
}
