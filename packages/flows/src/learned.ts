/** What only a live capture can learn of a flow: a replay has none of it. */
import type { Flow } from "./flow.ts";

export const nothingLearned: Pick<
  Flow,
  "rule" | "translated" | "application" | "tcp" | "tls" | "requests" | "drops"
> = { rule: null, translated: null, application: null, tcp: null, tls: null, requests: null, drops: null };
