/** A flow in words. */
import { ago, bytes, duration, socketAddress } from "./format.ts";
import type { Flow, FlowProcess } from "./shapes.ts";
import { visible } from "./visible.ts";

export function processName(process: FlowProcess | null): string | undefined {
  return process === null ? undefined : visible(process.comm);
}

/** "tcp to 10.0.0.1:443", "tls to example.com:443" */
export function title({ application, protocol, destination }: Flow): string {
  const { name, port } = destination;
  const to = name === null ? socketAddress(destination) : `${visible(name)}${port === 0 ? "" : `:${port}`}`;
  return `${application ?? protocol} to ${to}`;
}

export function sentence(flow: Flow, nowMs: number): string {
  const opener = opened(flow);
  const startMs = Date.parse(flow.start);
  const total = flow.bytes.sent + flow.bytes.received;
  const answer = flow.packets.received === 0 ? " No packet came back." : "";
  return flow.state === "active"
    ? `${opener} ${ago(nowMs - startMs)}; it is active and has moved ${bytes(total)}.${answer}`
    : `${opener}; it ended after ${duration(Date.parse(flow.end) - startMs)} and ${bytes(total)}.${answer}`;
}

function opened(flow: Flow): string {
  const local = processName(flow.process);
  if (flow.place === "forwarded") return `${flow.source.ip} opened it through this host`;
  if (flow.direction === "egress" && local !== undefined) return `${local} opened it`;
  if (local !== undefined) return `${socketAddress(flow.source)} opened it to ${local}`;
  return `${flow.source.ip} opened it`;
}

/** "default/web, spec.ingress[0]": which rule of policy decided. */
export function decidedBy({ policy, path }: NonNullable<Flow["rule"]>): string {
  if (policy !== "") return `${visible(policy)}, ${visible(path)}`;
  return path === "session" ? "the session that applied the policies" : "management, always open";
}

/** Who has the local end, and who the other where both are here: "curl", "curl → nginx". */
export function processes(flow: Flow): string {
  const names = [processName(flow.process), processName(flow.peerProcess)];
  if (names[0] === undefined && names[1] === undefined) return "";
  if (flow.peerProcess === null) return names[0] ?? "";
  return `${names[0] ?? "?"} → ${names[1]}`;
}
