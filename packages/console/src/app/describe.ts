/** A flow in words. */
import { ago, bytes, count, duration, socketAddress } from "./format.ts";
import type { Flow, FlowProcess } from "./shapes.ts";

export function processName(process: FlowProcess | null): string | undefined {
  return process === null ? undefined : process.comm;
}

/** "tcp to 10.0.0.1:443" */
export function title(flow: Flow): string {
  return `${flow.protocol} to ${socketAddress(flow.destination)}`;
}

export function sentence(flow: Flow, nowMs: number): string {
  const opener = opened(flow);
  const state = flow.state === "active" ? "is active" : "has ended";
  const total = flow.bytes.sent + flow.bytes.received;
  const answer = flow.packets.received === 0 ? " No packet came back." : "";
  const age = flow.state === "active" ? ago(nowMs - Date.parse(flow.start)) : `${lasted(flow)}`;
  return flow.state === "active"
    ? `${opener} ${age}; it ${state} and has moved ${bytes(total)}.${answer}`
    : `${opener}; it ${state} after ${age} and ${bytes(total)}.${answer}`;
}

function opened(flow: Flow): string {
  const local = processName(flow.process);
  if (flow.place === "forwarded") return "This host forwards it; it was opened";
  if (flow.direction === "egress" && local !== undefined) return `${local} opened it`;
  if (local !== undefined) return `${socketAddress(flow.source)} opened it to ${local}`;
  return `${flow.source.ip} opened it`;
}

function lasted(flow: Flow): string {
  return duration(Date.parse(flow.end) - Date.parse(flow.start));
}

export function packets(flow: Flow): string {
  return `${count(flow.packets.sent)} sent, ${count(flow.packets.received)} received`;
}

/** Who has the local end, and who the other where both are here: "curl", "curl → nginx". */
export function processes(flow: Flow): string {
  const names = [processName(flow.process), processName(flow.peerProcess)];
  if (names[0] === undefined && names[1] === undefined) return "";
  if (flow.peerProcess === null) return names[0] ?? "";
  return `${names[0] ?? "?"} → ${names[1]}`;
}
