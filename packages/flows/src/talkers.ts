import { formatBytes, printable } from "@x0tta6bl4/core";
import type { Flow } from "./flow.ts";

/** The conversations with the most bytes, one line each, flows between the same ends and service summed. */
export function busiestTalkers(flows: readonly Flow[], most = 5): string[] {
  const sums = new Map<string, { text: string; bytes: number; flows: number }>();
  for (const flow of flows) {
    const from =
      flow.process === null ? flow.source.ip : `${printable(flow.process.comm)} (${flow.source.ip})`;
    const to =
      flow.destination.port === 0
        ? flow.destination.ip
        : `${bracketed(flow.destination.ip)}:${flow.destination.port}`;
    const text = `${from} → ${to} ${flow.protocol}`;
    const sum = sums.get(text) ?? { text, bytes: 0, flows: 0 };
    sum.bytes += flow.bytes.sent + flow.bytes.received;
    sum.flows++;
    sums.set(text, sum);
  }
  return [...sums.values()]
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, most)
    .map(
      (sum) =>
        `${formatBytes(sum.bytes).padStart(8)}  ${sum.text}${sum.flows > 1 ? `, ${sum.flows} flows` : ""}`,
    );
}

function bracketed(ip: string): string {
  return ip.includes(":") ? `[${ip}]` : ip;
}
