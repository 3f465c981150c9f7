/**
 * `x0 flows capture`: the agent captures, this writes the file. With --ring the newest packets are kept here, in this
 * command's memory and not the agent's, and written when it ends. The last statistics of each interface come last, so
 * that the file says what was lost.
 */
import { totalmem } from "node:os";
import { type CliContext, formatBytes, parseSize } from "@x0tta6bl4/core";
import { flowsFail } from "../errors.ts";
import { readBlocks } from "./blocks.ts";
import type { CaptureFlags } from "./command.ts";
import { type Kept, keepNewest } from "./keep.ts";
import { toFile, toStream } from "./output.ts";
import { blockType, droppedOf } from "./pcapng.ts";

/** After Ctrl-C the next statistics are waited for: the agent writes them four times a second. */
const LAST_STATISTICS_MS = 2000;
/** Packets go a megabyte at a time. */
const LEAST_RING_BYTES = 2_000_000;

export async function capture(this: CliContext, flags: CaptureFlags): Promise<void> {
  const { stdout, stderr, signal } = this;
  const { ring, write, "on-drop": onDrop, for: duration, ...filter } = flags;
  if (write === undefined && stdout.isTTY === true)
    throw flowsFail("X0_FLOWS_PACKETS_TERMINAL", "a capture is not for a terminal to show", {
      hint: "write it: --write FILE, or pipe it: x0 flows capture | tshark -r -",
    });
  const kept = ring === undefined ? undefined : keepNewest(ringBytes(ring));
  const hangUp = new AbortController();
  const query: Record<string, string> = { for: duration, on_drop: String(onDrop) };
  for (const [name, value] of Object.entries(filter)) if (value !== undefined) query[name] = String(value);
  const blocks = readBlocks(this.agent.bytes("/api/v1/flows/packets", query, hangUp.signal));
  const first = await blocks.next();
  if (first.done === true) return;
  await using out = write === undefined ? toStream(stdout) : await toFile(write);
  await out.write(first.value.bytes);
  stderr.write(`capturing ${onDrop ? "dropped packets" : "packets"} for ${duration}; Ctrl-C ends it\n`);

  const statistics = new Map<number, Buffer>();
  let interfaces = 0;
  let packets = 0;
  let timer: NodeJS.Timeout | undefined;
  const ending = (): void => {
    timer ??= setTimeout(() => hangUp.abort(), LAST_STATISTICS_MS);
  };
  signal.addEventListener("abort", ending);
  if (signal.aborted) ending();
  try {
    for await (const { type, bytes } of blocks) {
      if (type === blockType.interfaceStatistics) {
        const number = bytes.readUInt32LE(8);
        statistics.set(number, Buffer.from(bytes));
        if (signal.aborted && number === interfaces - 1) break;
      } else if (type === blockType.enhancedPacket) {
        packets++;
        if (kept === undefined) await out.write(bytes);
        else kept.push(bytes);
      } else {
        if (type === blockType.interfaceDescription) interfaces++;
        await out.write(bytes);
      }
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", ending);
    hangUp.abort();
    for (const block of kept?.blocks() ?? []) await out.write(block);
    for (const block of statistics.values()) await out.write(block);
    stderr.write(summary(packets, statistics, kept));
  }
}

/** @throws X0_FLOWS_INVALID_FILTER for less than keeps a few packets, and for more than half of this machine's memory */
function ringBytes(text: string): number {
  const bytes = parseSize(text);
  const most = totalmem() / 2;
  if (bytes >= LEAST_RING_BYTES && bytes <= most) return bytes;
  throw flowsFail("X0_FLOWS_INVALID_FILTER", `ring cannot be "${text}"`, {
    hint: `write a size from 2MB to ${formatBytes(most)}, half of this machine's memory; it is kept in memory`,
  });
}

function summary(packets: number, statistics: ReadonlyMap<number, Buffer>, kept: Kept | undefined): string {
  const dropped = [...statistics.values()].reduce((sum, block) => sum + droppedOf(block), 0);
  const count = (number: number): string => `${number} packet${number === 1 ? "" : "s"}`;
  const told = [`captured ${count(packets)}`];
  if (kept !== undefined && kept.forgotten > 0)
    told.push(`the newest ${packets - kept.forgotten} are kept (${formatBytes(kept.bytes)})`);
  if (dropped > 0) told.push(`lost ${count(dropped)} for want of room in the kernel's ring`);
  return `${told.join("; ")}\n`;
}
