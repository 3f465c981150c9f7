import type { CommandContext } from "@stricli/core";
import type { StreamEvent } from "./route.ts";

/** The running agent, over its Unix socket. */
export interface AgentClient {
  /** @throws X0_NODE_NO_AGENT where none runs. */
  get(path: string, query?: Readonly<Record<string, string>>): Promise<unknown>;
  /** Sends JSON. @throws as `get` */
  post(path: string, body: unknown): Promise<unknown>;
  stream(
    path: string,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): AsyncIterable<StreamEvent>;
  /** What a route of bytes answers, as it comes; ends in silence when the signal aborts. */
  bytes(
    path: string,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>;
}

/** What a command of a part may use. Data goes to stdout, everything else to stderr. */
export interface CliContext extends CommandContext {
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly agent: AgentClient;
  /** The node's data folder, whether an agent runs on it or not. */
  readonly dataDirectory: string;
  /** A part's section of the configuration, parsed. @throws what is wrong with the configuration */
  section(name: string): Promise<unknown>;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  /** Whether stdout takes colours: a terminal, and no NO_COLOR. */
  readonly color: boolean;
}
