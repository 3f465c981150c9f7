import type { CliContext, StreamEvent } from "@x0tta6bl4/core";
import { z } from "zod";
import { flowsFail } from "../errors.ts";
import { type Flow, type FlowList, flowChangeSchema, flowListSchema } from "../flow.ts";
import { mostFlows, type ObserveFlags } from "./command.ts";
import { coverText } from "./covers.ts";
import type { Print } from "./output.ts";

const defaultLast = 20;
const mostPerPage = 10_000;
const droppedSchema = z.object({ count: z.number().int() });

/** Shows what the running agent has seen, and with `--follow` goes on until the context's signal. */
export async function observeAgent(context: CliContext, flags: ObserveFlags, print: Print): Promise<void> {
  if (!flags.follow) {
    const flows = await history(context, flags);
    if (flows.length === 0) context.stderr.write("no flow matches\n");
    else await print(flows.map((flow) => ({ change: "update", flow })));
    return;
  }
  const { last, since, until } = flags;
  const hangUp = new AbortController();
  const signal = AbortSignal.any([context.signal, hangUp.signal]);
  const live = context.agent.stream("/api/v1/flows/follow", filterOf(flags), signal)[Symbol.asyncIterator]();
  try {
    // Asked for before the history is read, so that nothing falls between both.
    let next = ahead(live);
    const wantsHistory = last !== undefined || since !== undefined || until !== undefined;
    const flows = wantsHistory ? await history(context, flags) : [];
    const shown = new Map(flows.map(({ id, state }) => [id, state]));
    await print(flows.map((flow) => ({ change: flow.state === "ended" ? "end" : "update", flow })));
    for (let event = await next; event.done !== true; event = await next) {
      next = ahead(live);
      await show(context, event.value, shown, print);
    }
  } finally {
    // Without this, `return` would wait for the event that was asked for ahead.
    hangUp.abort();
    await live.return?.();
  }
}

/** A request whose failure is met where it is awaited, which may be later than it fails. */
function ahead(live: AsyncIterator<StreamEvent>): Promise<IteratorResult<StreamEvent>> {
  const next = live.next();
  next.catch(() => {});
  return next;
}

async function show(
  context: CliContext,
  { event, data }: StreamEvent,
  shown: Map<string, Flow["state"]>,
  print: Print,
): Promise<void> {
  if (event === "dropped") {
    const { count } = parsed(droppedSchema, data);
    context.stderr.write(`${count} starts and ends are missing here: they came faster than they were read\n`);
    return;
  }
  if (event !== "flow") return;
  const change = parsed(flowChangeSchema, data);
  const before = shown.get(change.flow.id);
  if (before === "ended" || (before === "active" && change.change === "start")) return;
  if (change.change !== "update") await print([change]);
}

/** @returns oldest first. */
async function history(context: CliContext, flags: ObserveFlags): Promise<Flow[]> {
  const limited = flags.since !== undefined || flags.until !== undefined;
  const most = flags.last ?? (limited ? mostFlows : defaultLast);
  const query: Record<string, string> = { ...filterOf(flags), last: String(most) };
  if (flags.since !== undefined) query["since"] = flags.since;
  if (flags.until !== undefined) query["until"] = flags.until;
  const flows: Flow[] = [];
  let covers: FlowList["covers"] | undefined;
  let after: string | null = null;
  do {
    const limit = String(Math.min(most - flows.length, mostPerPage));
    const answer: unknown = await context.agent.get("/api/v1/flows", {
      ...query,
      limit,
      ...(after === null ? {} : { after }),
    });
    const page: FlowList = parsed(flowListSchema, answer);
    for (const flow of page.flows) flows.push(flow);
    covers = page.covers;
    after = page.next;
  } while (after !== null && flows.length < most && !context.signal.aborted);
  if (after !== null && flags.last === undefined && limited)
    context.stderr.write(`these are the newest ${most} flows; narrow them with --since and --until\n`);
  // Who asks for a stretch of time wants to know whether that is all there was; else only what is missing is news.
  const isWhole = covers === undefined || (covers.lostPackets === 0 && (covers.gaps ?? []).length === 0);
  if (covers !== undefined && (limited || !isWhole)) context.stderr.write(coverText(covers));
  return flows.slice(0, most).reverse();
}

const filterKeys = [
  "ip",
  "port",
  "protocol",
  "process",
  "name",
  "unit",
  "container",
  "dropped",
  "verdict",
] as const;

function filterOf(flags: ObserveFlags): Record<string, string> {
  const query: Record<string, string> = {};
  for (const key of filterKeys) if (flags[key] !== undefined) query[key] = String(flags[key]);
  return query;
}

/** @throws X0_FLOWS_UNEXPECTED_ANSWER */
export function parsed<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw flowsFail(
    "X0_FLOWS_UNEXPECTED_ANSWER",
    `the agent's answer is not understood: ${z.prettifyError(result.error)}`,
    {
      hint: "is the agent of another version? restart it: x0 up",
    },
  );
}
