/** The services of Hubble's API: `observer.Observer`, and gRPC's health check, which its clients ask first. */
import { answerFlows, type FlowsSource } from "./answer.ts";
import { encode, type Message, type Values } from "./codec.ts";
import { parseFlowsRequest } from "./flows-request.ts";
import { GrpcError, type Method, status } from "./grpc.ts";
import {
  emptyMessage,
  getNodesResponse,
  healthCheckResponse,
  nodeState,
  serverStatusResponse,
} from "./schema.ts";
import { byteWriter } from "./wire.ts";

/** A node's own service, or a relay's, which speaks for nodes; here for the one that it is on. */
export type Role = "node" | "relay";

export interface ObserverSource extends FlowsSource {
  readonly startedMs: number;
  /** Flows a second, over the last minute. */
  flowsRate(): number;
}

export function observerMethods(
  source: ObserverSource,
  role: Role,
  address: () => string,
): ReadonlyMap<string, Method> {
  const { window, emitter, clock } = source;
  const sums = (): Values => ({
    num_flows: window.next - window.oldest,
    max_flows: window.capacity,
    seen_flows: window.seen,
    uptime_ns: Math.round((clock.nowMs() - source.startedMs) * 1e6),
  });
  const serverStatus = (): Values => ({
    ...sums(),
    ...(role === "relay" ? { num_connected_nodes: 1, num_unavailable_nodes: 0 } : {}),
    version: `x0tta6bl4 ${emitter.version}`,
    flows_rate: source.flowsRate(),
  });
  const nodes = (): Values => ({
    nodes: [
      {
        ...sums(),
        name: emitter.nodeName,
        version: emitter.version,
        address: address(),
        state: nodeState.numbers["NODE_CONNECTED"],
        tls: { enabled: false },
      },
    ],
  });
  return new Map<string, Method>([
    [
      "/observer.Observer/GetFlows",
      {
        kind: "stream",
        answer: (request, stream) =>
          answerFlows(source, parseFlowsRequest(request), stream, { relay: role === "relay" }),
      },
    ],
    ["/observer.Observer/ServerStatus", unary(serverStatusResponse, serverStatus)],
    ["/observer.Observer/GetNodes", unary(getNodesResponse, nodes)],
    ["/observer.Observer/GetNamespaces", unary(emptyMessage, () => ({}))],
    ["/observer.Observer/GetAgentEvents", refused("events of Cilium's agent do not exist on a plain host")],
    [
      "/observer.Observer/GetDebugEvents",
      refused("debug events of Cilium's datapath do not exist on a plain host"),
    ],
    ["/grpc.health.v1.Health/Check", unary(healthCheckResponse, () => ({ status: 1 }))],
  ]);
}

function unary(message: Message, values: () => Values): Method {
  return {
    kind: "unary",
    answer() {
      const writer = byteWriter(256);
      encode(writer, message, values());
      return writer.bytes.subarray(0, writer.length);
    },
  };
}

function refused(why: string): Method {
  return {
    kind: "unary",
    answer() {
      throw new GrpcError(status.unimplemented, why);
    },
  };
}
