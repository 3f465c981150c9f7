/** `x0 policy audit`: what policies in audit would have denied, by rule and by connection. */
import { type CliContext, jsonLine, table } from "@x0tta6bl4/core";
import { type Flow, type FlowList, flowListSchema } from "../../flow.ts";
import { parsed } from "../../observe/agent.ts";
import { mostFlows } from "../../observe/command.ts";
import { coverText } from "../../observe/covers.ts";
import { figuresSchema } from "../schema.ts";
import type { AuditFlags } from "./command.ts";
import { figuresTable } from "./show.ts";

const PAGE = 10_000;

/** Flows of one kind that one rule would have denied. */
export interface AuditedConnections {
  readonly policy: string;
  readonly path: string;
  readonly direction: Flow["direction"];
  /** Unit, else name of the process at this end; null where nobody knows. */
  readonly process: string | null;
  readonly peer: string;
  readonly protocol: string;
  /** That the opening side asked for. */
  readonly port: number;
  readonly flows: number;
  readonly latest: string;
}

export async function audit(this: CliContext, { since, output }: AuditFlags): Promise<void> {
  const { rules } = parsed(figuresSchema, await this.agent.get("/api/v1/policy/figures"));
  const told = rules.filter(({ decision }) => decision === "audit");
  const connections = new Map<string, AuditedConnections>();
  const covers = await eachFlow(this, since, (flow) => enter(connections, flow));
  const found = [...connections.values()].sort((a, b) => b.flows - a.flows);
  if (output === "json") {
    this.stdout.write(jsonLine({ rules: told, connections: found, covers }));
    return;
  }
  if (told.length === 0 && found.length === 0)
    this.stderr.write("policies in audit would have denied nothing so far\n");
  if (told.length > 0) this.stdout.write(`Since the agent's start\n${figuresTable(told, true)}`);
  if (found.length > 0) {
    this.stderr.write(coverText(covers));
    const blank = told.length > 0 ? "\n" : "";
    this.stdout.write(`${blank}Connections since ${since}\n${connectionsTable(found)}`);
  }
}

/** The newest first, up to a bound. @returns the time that they cover */
async function eachFlow(
  { agent, stderr, signal }: CliContext,
  since: string,
  take: (flow: Flow) => void,
): Promise<FlowList["covers"]> {
  let after: string | null = null;
  let taken = 0;
  for (;;) {
    const query = {
      since,
      verdict: "audit",
      last: String(mostFlows),
      limit: String(PAGE),
      ...(after === null ? {} : { after }),
    };
    const page: FlowList = parsed(flowListSchema, await agent.get("/api/v1/flows", query));
    for (const flow of page.flows) take(flow);
    taken += page.flows.length;
    after = page.next;
    if (after === null || signal.aborted) return page.covers;
    if (taken < mostFlows) continue;
    stderr.write(`these are of the newest ${mostFlows} flows; narrow them with --since\n`);
    return page.covers;
  }
}

export function enter(connections: Map<string, AuditedConnections>, flow: Flow): void {
  if (flow.verdict !== "audit" || flow.rule === null) return;
  const { rule, direction, source, destination, protocol } = flow;
  const end = direction === "egress" ? destination : source;
  const process = flow.process?.unit ?? flow.process?.comm ?? null;
  const peer = end.name ?? end.ip;
  const { port } = destination;
  const key = JSON.stringify([rule.policy, rule.path, direction, process, peer, protocol, port]);
  const before = connections.get(key);
  connections.set(key, {
    ...rule,
    direction,
    process,
    peer,
    protocol,
    port,
    flows: (before?.flows ?? 0) + 1,
    latest: before === undefined || before.latest < flow.start ? flow.start : before.latest,
  });
}

function connectionsTable(connections: readonly AuditedConnections[]): string {
  return table(
    ["FLOWS", "LATEST", "DIRECTION", "PROCESS", "PEER", "PORT", "RULE"],
    connections.map(({ flows, latest, direction, process, peer, port, protocol, policy, path }) => [
      String(flows),
      latest.slice(0, 19).replace("T", " "),
      direction,
      process ?? "-",
      peer,
      `${port === 0 ? "" : `${port} `}${protocol}`,
      `${policy} ${path}`,
    ]),
  );
}
