import { buildCommand } from "@stricli/core";
import {
  boundedQueue,
  type CliContext,
  coreFail,
  type Part,
  type PartDefinition,
  parseMoment,
  type State,
  type StreamEvent,
} from "@x0tta6bl4/core";
import { z } from "zod";

export interface Example {
  readonly definition: PartDefinition;
  /** What happened, in order. */
  readonly events: string[];
  /** Feeds the stream's clients. */
  readonly feed: ReturnType<typeof boundedQueue<StreamEvent>>;
  state: State;
}

export interface ExampleOptions {
  readonly name?: string;
  readonly events?: string[];
  start?(signal: AbortSignal): Promise<void>;
  complete?(signal: AbortSignal): Promise<void>;
  stop?(): Promise<void>;
}

/** A part as small as one can be, with everything that a part may have. */
export function examplePart({ name = "example", events = [], ...hooks }: ExampleOptions = {}): Example {
  const feed = boundedQueue<StreamEvent>(100_000);
  const example: Example = { events, feed, state: "on", definition: {} as PartDefinition };
  const part = (): Part => ({
    async start(signal) {
      events.push(`start ${name}`);
      await hooks.start?.(signal);
    },
    async complete(signal) {
      events.push(`complete ${name}`);
      await hooks.complete?.(signal);
    },
    async stop() {
      events.push(`stop ${name}`);
      await hooks.stop?.();
    },
    health: () => ({
      state: example.state,
      features: [{ name: "wings", state: "off", reason: "no feathers", hint: "grow some" }],
    }),
    banner: async () => [`${name} says hello`],
    routes: [
      {
        kind: "json",
        method: "GET",
        path: `/api/v1/${name}`,
        summary: "Echoes its query.",
        query: z.object({ count: z.coerce.number().int().default(1), since: z.string().optional() }),
        response: z.object({ count: z.number(), since: z.number().nullable() }),
        handle: async ({ query }) => {
          const { count, since } = query as { count: number; since?: string };
          if (count === 13) throw new Error("unlucky and secret");
          return { count, since: since === undefined ? null : parseMoment(since, 0) };
        },
      },
      {
        kind: "json",
        method: "POST",
        path: `/api/v1/${name}`,
        summary: "Tells how long a word is, and whence it came.",
        body: z.object({ word: z.string() }),
        maxBodyBytes: 2000,
        response: z.object({ length: z.number(), from: z.string().nullable() }),
        handle: async ({ body, connection }) => ({
          length: (body as { word: string }).word.length,
          from: connection === undefined ? null : `${connection.remote.ip} to ${connection.local.port}`,
        }),
      },
      {
        kind: "stream",
        path: `/api/v1/${name}/stream`,
        summary: "What the test feeds.",
        query: z.object({ broken: z.enum(["at once", "later"]).optional() }),
        events: { tick: z.object({ n: z.number() }) },
        async *open({ query, signal }) {
          const { broken } = query as { broken?: string };
          if (broken === "at once") throw coreFail("X0_CORE_INVALID_QUANTITY", "broken at once");
          events.push(`open ${name}`);
          signal.addEventListener("abort", () => {
            events.push(`left ${name}`);
            feed.push({ event: "woken", data: null });
          });
          for await (const event of feed) {
            if (signal.aborted) return;
            yield event;
            if (broken === "later")
              throw coreFail("X0_CORE_INVALID_QUANTITY", "broken later", { hint: "mend it" });
          }
        },
      },
      {
        kind: "bytes",
        path: `/api/v1/${name}/bytes`,
        summary: "So many chunks, each of 64 KiB of its number.",
        contentType: "application/octet-stream",
        query: z.object({
          chunks: z.coerce.number().int(),
          broken: z.enum(["at once", "later"]).optional(),
        }),
        async *open({ query, signal }) {
          const { chunks, broken } = query as { chunks: number; broken?: string };
          if (broken === "at once") throw coreFail("X0_CORE_INVALID_QUANTITY", "broken at once");
          signal.addEventListener("abort", () => events.push(`left ${name}`));
          for (let number = 0; number < chunks && !signal.aborted; number++) {
            events.push(`chunk ${number}`);
            yield new Uint8Array(65_536).fill(number);
          }
          if (broken === "later") throw coreFail("X0_CORE_INVALID_QUANTITY", "broken later");
        },
      },
    ],
  });
  return Object.assign(example, {
    definition: {
      name,
      summary: "A part for tests.",
      config: z.object({ colour: z.enum(["red", "blue"]).default("red").describe("of the example") }),
      create: part,
      async *doctor(config: unknown) {
        yield {
          subject: "wings",
          outcome: "off",
          detail: JSON.stringify(config),
          hint: "grow some",
        } as const;
      },
      commands: {
        show: buildCommand<{ since?: number }, [], CliContext>({
          docs: { brief: "Show what the agent echoes" },
          parameters: {
            flags: {
              since: {
                kind: "parsed",
                parse: (text) => parseMoment(text, 0),
                optional: true,
                brief: "a time",
              },
            },
          },
          async func() {
            this.stdout.write(`${JSON.stringify(await this.agent.get(`/api/v1/${name}`, { count: "7" }))}\n`);
          },
        }),
        fail: buildCommand<Record<never, never>, [], CliContext>({
          docs: { brief: "Fail unexpectedly" },
          parameters: {},
          func() {
            throw new Error("a\nbug");
          },
        }),
      },
    } satisfies PartDefinition,
  });
}
