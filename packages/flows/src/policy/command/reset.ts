/** `x0 policy reset`: the way back in. It works through the agent, and without one. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { type CliContext, jsonLine, messageOf, X0Error } from "@x0tta6bl4/core";
import { flowsFail } from "../../errors.ts";
import { detachClsact } from "../../kernel/clsact.ts";
import { watchInterfaces } from "../../kernel/interfaces.ts";
import { openLibc } from "../../kernel/libc.ts";
import { openNetlink } from "../../kernel/netlink.ts";
import { ownFolder, removePinned } from "../enforce/pinned.ts";
import { openPolicyStore } from "../store/store.ts";
import type { ResetFlags } from "./command.ts";
import { ask, isYes } from "./question.ts";

/** An agent that hangs must not keep the operator out. */
const AGENT_MS = 10_000;
const NETLINK_ROUTE = 0;
/** As in capture/kernel-side.ts. */
const FLOWS_TAG = "x0tta6bl4:flows";

export async function reset(this: CliContext, { yes, output }: ResetFlags): Promise<void> {
  if (!yes) await confirmed(this);
  const byAgent = await throughAgent(this);
  // An agent takes its own names away; this user may not be allowed to.
  const pins = byAgent === undefined ? withoutPins() : { unpinned: 0 };
  // Last: whatever state the store is in, the way in is open by then.
  const removed = byAgent ?? withoutAgent(this);
  if ("refused" in pins) throw pins.refused;
  const { unpinned } = pins;
  const result = { agent: byAgent !== undefined, removed, unpinned };
  if (output === "json") this.stdout.write(jsonLine(result));
  else this.stdout.write(resultText(result));
}

async function confirmed(context: CliContext): Promise<void> {
  const answer = await ask(context, "End all policy and forget it? [y/N] ", context.signal);
  if (isYes(answer)) return;
  throw flowsFail("X0_FLOWS_POLICY_DECLINED", "nothing was changed", { hint: "--yes answers the question" });
}

/** @returns how many documents were removed; undefined where no agent answers. */
async function throughAgent(context: CliContext): Promise<number | undefined> {
  const asked = context.agent.post("/api/v1/policy/reset", {});
  try {
    const answer = await Promise.race([asked, setTimeout(AGENT_MS, undefined, { ref: false })]);
    if (answer === undefined) context.stderr.write("the agent does not answer; going on without it\n");
    return (answer as { removed?: string[] } | undefined)?.removed?.length;
  } catch (error) {
    if (!(error instanceof X0Error)) throw error;
    if (error.code === "X0_NODE_SOCKET_DENIED") throw error;
    if (error.code !== "X0_NODE_NO_AGENT")
      context.stderr.write(`the agent refused: ${messageOf(error)}; going on without it\n`);
    return undefined;
  }
}

/** Where it is refused the rest is done all the same. */
function withoutPins(): { readonly unpinned: number } | { readonly refused: X0Error } {
  try {
    return { unpinned: removePinned(ownFolder()) + removeFilters() };
  } catch (error) {
    if (error instanceof X0Error) return { refused: error };
    throw error;
  }
}

/** Where the kernel has no tcx, what an agent that was killed left on the devices. */
function removeFilters(): number {
  const libc = openLibc();
  const watch = watchInterfaces(libc);
  const netlink = openNetlink(libc, NETLINK_ROUTE);
  try {
    return watch.list().reduce((sum, { index }) => sum + detachClsact(netlink, index, FLOWS_TAG, true), 0);
  } finally {
    netlink.close();
    watch.close();
  }
}

/** For the next start; a running agent that did not answer keeps what is in force until it ends. */
function withoutAgent({ dataDirectory }: CliContext): number {
  const path = join(dataDirectory, "policy", "policy.db");
  if (!existsSync(path)) return 0;
  const store = openPolicyStore(path);
  try {
    const nowMs = Date.now();
    const removed = store.confirmed()?.documents.length ?? 0;
    store.revertUnsettled(nowMs);
    const number = store.prepare({ appliedMs: nowMs, management: true, pin: false, documents: [] });
    store.settle(number, "confirmed", nowMs);
    return removed;
  } finally {
    store.close();
  }
}

function resultText({
  agent,
  removed,
  unpinned,
}: {
  agent: boolean;
  removed: number;
  unpinned: number;
}): string {
  const pins = unpinned === 0 ? "" : `, and what --pin left in the kernel (${unpinned} pins)`;
  const by = agent ? "by the agent" : "from the store, without an agent";
  return `no policy is applied: ${removed} ${removed === 1 ? "document" : "documents"} removed ${by}${pins}\n`;
}
