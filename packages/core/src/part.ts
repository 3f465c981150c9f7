/**
 * The lifecycle that every long-lived thing of the product shares, and what a part registers with `node`:
 * its section of the configuration, its routes, its commands, its metrics and its entries in `x0 doctor`.
 * Parts of one layer do not know each other; `node` composes them, starts them in order and stops them in
 * reverse order.
 */
import type { Command } from "@stricli/core";
import type { z } from "zod";
import type { CliContext } from "./cli.ts";
import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { AnyRoute } from "./route.ts";
import type { Services } from "./services.ts";

/** `off` is a choice or a missing privilege and says why; `degraded` works with a stated loss. */
export type State = "on" | "degraded" | "off" | "failed";

export interface Feature {
  readonly name: string;
  readonly state: State;
  /** How it works here, in a few words. */
  readonly detail?: string;
  /** Why it is not fully on, in one sentence. */
  readonly reason?: string;
  /** What turns it on. */
  readonly hint?: string;
}

export interface Health {
  readonly state: State;
  readonly features: readonly Feature[];
}

export interface Part {
  /**
   * Resolves when the part does what cannot wait: what protects this host is in force before anything slow. Work that
   * may come later goes on in `complete` or in the background.
   */
  start(signal: AbortSignal): Promise<void>;
  /** Resolves when the part is ready. Called in order when all parts have started. */
  complete?(signal: AbortSignal): Promise<void>;
  /** Ends within `deadlineMs`, releasing all kernel objects, sockets and files. Idempotent. */
  stop(deadlineMs: number): Promise<void>;
  health(): Health;
  /** Lines that `x0 up` shows a few seconds after the start: the first thing that this part can tell. */
  banner?(): Promise<readonly string[]>;
  readonly routes?: readonly AnyRoute[];
}

export interface PartContext<Config> {
  readonly config: Config;
  /** The node's data folder, absolute; a part keeps its files in a folder of its own name below it. */
  readonly dataDirectory: string;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** What the parts of this node offer each other. */
  readonly services: Services;
}

export interface DoctorEntry {
  readonly subject: string;
  /** `off`: not in use, or not permitted. `refused`: it cannot work here; of the node itself, `x0 up` cannot start. */
  readonly outcome: "works" | "warning" | "off" | "refused";
  readonly detail: string;
  readonly hint?: string;
}

export interface PartDefinition<Config = unknown> {
  /** Name of the section in the configuration and of the noun on the command line. */
  readonly name: string;
  readonly summary: string;
  /** The section: an object schema in which each key has a default and a description. */
  readonly config: z.ZodObject & z.ZodType<Config>;
  create(context: PartContext<Config>): Part;
  /** Probes what this machine offers; needs no running agent and changes nothing. */
  doctor?(config: Config): AsyncIterable<DoctorEntry>;
  /** Verbs of `x0 <name> <verb>`. */
  readonly commands?: Readonly<Record<string, Command<CliContext>>>;
}
