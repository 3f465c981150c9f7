/** What only a live capture can learn of a flow: a replay has none of it. */
import type { Flow } from "./flow.ts";

export const nothingLearned: Pick<Flow, "translated" | "application" | "tcp" | "tls" | "requests" | "drops"> =
  { translated: null, application: null, tcp: null, tls: null, requests: null, drops: null };
