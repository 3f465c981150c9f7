/** The `x0` command line: one stricli application, built for the noun that is asked for. */
import {
  buildApplication,
  buildCommand,
  buildRouteMap,
  type Command,
  help,
  type RouteMap,
  run,
  type StricliIntegration,
  text_en,
  version,
} from "@stricli/core";
import type { CliContext } from "@x0tta6bl4/core";
import type { Environment } from "../config/places.ts";
import type { PartEntry } from "../parts.ts";
import { readVersion } from "../version.ts";
import { nodeCommands } from "./commands.ts";
import { complaintOf, exitCodeOf } from "./complaint.ts";
import { type NodeContext, nodeContext } from "./context.ts";
import { globalFlags, takeGlobalFlags } from "./globals.ts";

export interface CliOptions {
  readonly argv: readonly string[];
  readonly stdin: CliContext["stdin"];
  readonly stdout: CliContext["stdout"];
  readonly stderr: CliContext["stderr"];
  readonly env: Environment;
  readonly signal: AbortSignal;
  readonly parts: readonly PartEntry[];
}

type Route = Command<NodeContext> | RouteMap<NodeContext>;

/** @returns the exit code: 0, 1 failed, 2 usage, 3 not supported or permitted. */
export async function runCli(options: CliOptions): Promise<number> {
  const { stdout, stderr, env } = options;
  const debug = Boolean(env["X0_DEBUG"]);
  try {
    const { flags, rest } = takeGlobalFlags(options.argv);
    const noun = rest.find((argument) => !argument.startsWith("-"));
    const application = await build(options.parts, noun, debug);
    const process: {
      stdout: typeof stdout;
      stderr: typeof stderr;
      env: Record<string, string>;
      exitCode?: unknown;
    } = {
      stdout,
      stderr,
      env: {},
    };
    await run(application, rest, {
      process: process as never,
      forCommand: () => nodeContext({ ...options, flags }),
    });
    return exitCodes[Number(process.exitCode ?? 0)] ?? Number(process.exitCode ?? 0);
  } catch (error) {
    stderr.write(`${complaintOf(error, debug)}\n`);
    return exitCodeOf(error);
  }
}

/** Stricli's own codes: unknown command, wrong arguments; and loading a command failed. */
const exitCodes: Readonly<Record<number, number>> = { [-5]: 2, [-4]: 2, [-3]: 1, [-2]: 1, [-1]: 1, [-6]: 1 };

async function build(parts: readonly PartEntry[], noun: string | undefined, debug: boolean) {
  const routes: Record<string, Route> = { ...nodeCommands };
  for (const part of parts)
    if (part.verbs.length > 0) routes[part.name] = await routesOf(part, part.name === noun);
  const root = buildRouteMap<string, NodeContext>({
    docs: {
      brief: "Observes, explains and learns: this Linux host as a node of a mesh",
      fullDescription:
        "Observes, explains and learns: this Linux host as a node of a mesh.\nData goes to stdout, all else to stderr. Exit codes: 0 ok, 1 failed, 2 usage, 3 not supported or permitted, 130 interrupted.",
    },
    routes,
  });
  const complain = (error: unknown): string => complaintOf(error, debug);
  return buildApplication<NodeContext>(
    root,
    {
      name: "x0",
      scanner: { caseStyle: "allow-kebab-for-camel", allowArgumentEscapeSequence: true },
      documentation: { disableAnsiColor: true },
      determineExitCode: exitCodeOf,
      localization: {
        text: {
          ...text_en,
          noCommandRegisteredForInput: ({ input, corrections }) =>
            `x0: unknown command ${input}\nhint: ${
              corrections.length === 0
                ? "x0 --help lists what there is"
                : `did you mean ${corrections.join(" or ")}?`
            }`,
          exceptionWhileParsingArguments: complain,
          exceptionWhileLoadingCommandFunction: complain,
          exceptionWhileLoadingCommandContext: (error) => `${complain(error)}\n`,
          exceptionWhileRunningCommand: complain,
          commandErrorResult: complain,
        },
      },
    },
    integrations(),
  );
}

/** A part's verbs; for a part that is not asked for only their names, which is all that the help shows. */
async function routesOf(part: PartEntry, wanted: boolean): Promise<Route> {
  const commands: Readonly<Record<string, Route>> = wanted
    ? ((await part.load()).commands ?? {})
    : Object.fromEntries(part.verbs.map((verb) => [verb, unloaded]));
  return buildRouteMap<string, NodeContext>({ docs: { brief: part.summary }, routes: commands });
}

const unloaded = buildCommand<Record<never, never>, [], NodeContext>({
  docs: { brief: "" },
  parameters: {},
  func: () => undefined,
});

function integrations(): Record<string, StricliIntegration<NodeContext>> {
  const formatting = {
    useAliasInUsageLine: false,
    onlyRequiredInUsageLine: true,
    caseStyle: "convert-camel-to-kebab",
  } as const;
  const plain = help<NodeContext>({ brief: "Print this help", defaultForRouteMap: true, formatting });
  return {
    help: {
      ...plain,
      flag: {
        ...(plain.flag as NonNullable<typeof plain.flag>),
        async run(app, scanned) {
          await plain.flag?.run.call(this, app, scanned);
          this.process.stdout.write(globalFlagsHelp());
        },
      },
    },
    version: version({ brief: "Print the version", alias: false, info: { currentVersion: readVersion() } }),
  };
}

/** Global flags are taken before stricli runs, so it cannot list them. */
function globalFlagsHelp(): string {
  const lines = Object.entries(globalFlags).map(([name, brief]) => `     --${name.padEnd(9)}  ${brief}\n`);
  return `\nGLOBAL FLAGS\n${lines.join("")}`;
}
