import { buildCommand, buildRouteMap, type Command, type RouteMap } from "@stricli/core";
import type { NodeContext } from "./context.ts";

export type Output = "table" | "json";

const output = {
  kind: "enum",
  values: ["table", "json"],
  default: "table",
  brief: "json is one object on one line",
} as const;

/** The node's own commands. What they need is loaded when they run. */
export const nodeCommands: Readonly<Record<string, Command<NodeContext> | RouteMap<NodeContext>>> = {
  up: buildCommand<Record<never, never>, [], NodeContext>({
    docs: {
      brief: "Run this node in the foreground",
      fullDescription:
        "Starts the agent and prints the console's URL, what is on, and what is off and why. Ctrl-C ends it.",
    },
    parameters: {},
    loader: async () => (await import("./up.ts")).up,
  }),
  doctor: buildCommand<{ output: Output }, [], NodeContext>({
    docs: {
      brief: "Say what works here, what does not, and what would change that",
      fullDescription: "Probes this machine and changes nothing. Exit 1 if `x0 up` could not start.",
    },
    parameters: { flags: { output }, aliases: { o: "output" } },
    loader: async () => (await import("./doctor.ts")).doctor,
  }),
  config: buildRouteMap<"show" | "schema", NodeContext>({
    docs: { brief: "The configuration in force, and its schema" },
    routes: {
      show: buildCommand<{ output: Output; origin: boolean }, [], NodeContext>({
        docs: { brief: "Print every setting" },
        parameters: {
          flags: {
            output,
            origin: { kind: "boolean", default: false, withNegated: false, brief: "and where it came from" },
          },
          aliases: { o: "output" },
        },
        loader: async () => (await import("./config.ts")).showConfig,
      }),
      schema: buildCommand<Record<never, never>, [], NodeContext>({
        docs: { brief: "Print a JSON Schema of the file, for editors" },
        parameters: {},
        loader: async () => (await import("./config.ts")).printSchema,
      }),
    },
  }),
};
