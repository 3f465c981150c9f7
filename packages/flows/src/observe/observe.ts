import { type CliContext, systemClock } from "@x0tta6bl4/core";
import { compileFilter } from "../filter.ts";
import type { FlowChange } from "../flow.ts";
import { readCapture } from "../replay/capture.ts";
import { type ReplayTotals, replayFlows, replayTotals } from "../replay/replay.ts";
import { observeAgent } from "./agent.ts";
import type { ObserveFlags } from "./command.ts";
import { inOrderOfStart, lastStarted } from "./order.ts";
import { type Print, printTo } from "./output.ts";

/** Flows held back to show a capture's in the order of their start: about 16 MB. */
const orderWindow = 16_384;

/** `x0 flows observe`. Ends without an error when the context's signal says so. */
export async function observe(this: CliContext, flags: ObserveFlags): Promise<void> {
  const nowMs = systemClock.nowMs();
  const matches = compileFilter(flags, nowMs);
  const print = printTo(this, { output: flags.output, follow: flags.follow, numeric: flags.numeric, nowMs });
  try {
    if (flags.replay === undefined) await observeAgent(this, flags, print);
    else await observeCapture(this, flags.replay, flags, ({ flow }) => matches(flow), print);
  } catch (error) {
    if (!this.signal.aborted) throw error;
  }
}

async function observeCapture(
  { stderr, signal }: CliContext,
  path: string,
  { follow, last }: ObserveFlags,
  matches: (change: FlowChange) => boolean,
  print: Print,
): Promise<void> {
  const totals = replayTotals();
  const changes = where(replayFlows(readCapture(path, { signal }), totals), matches);
  let shown = 0;
  try {
    if (follow)
      for await (const change of changes) {
        shown++;
        await print([change]);
      }
    else {
      const complete = where(changes, ({ change }) => change !== "start");
      const batches =
        last === undefined ? inOrderOfStart(complete, orderWindow) : lastStarted(complete, last);
      for await (const batch of batches) {
        shown += batch.length;
        await print(batch.map(({ flow }) => ({ change: "update", flow })));
      }
    }
    // Not where the file is at fault: that is the one thing to say.
    if (shown === 0)
      stderr.write(
        `no flow matches; the capture has ${totals.packets} packets, ${totals.notIp} of them not IP\n`,
      );
  } finally {
    for (const remark of remarks(totals)) stderr.write(`${remark}\n`);
  }
}

function* remarks({ unsupported, evicted }: ReplayTotals): Generator<string> {
  for (const [linkType, count] of unsupported) yield `skipped ${count} packets of link type ${linkType}`;
  if (evicted > 0) yield `${evicted} flows were ended early: more were open at once than are held`;
}

async function* where<T>(items: AsyncIterable<T>, matches: (item: T) => boolean): AsyncGenerator<T> {
  for await (const item of items) if (matches(item)) yield item;
}
