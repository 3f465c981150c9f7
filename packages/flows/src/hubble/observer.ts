/** The services of Hubble's API: `observer.Observer`, and gRPC's health check, which its clients ask first. */

import { byteWriter } from "@x0tta6bl4/core";
import { answerFlows, type FlowsSource } from "./answer.ts";
import { decode, encode, type Message, type Values } from "./codec.ts";
import { parseFlowsRequest } from "./flows-request.ts";
import { GrpcError, type Method, status } from "./grpc.ts";
import {
  emptyMessage,
  getNodesResponse,
  healthCheckRequest,
  healthCheckResponse,
  healthStatus,
  nodeState,
  serverStatusResponse,
} from "./schema.ts";

/** A node's own service, or a relay's, which speaks for nodes; here for the one that it is on. */
export type Role = "node" | "relay";

export interface ObserverSource extends FlowsSource {
  readonly startedMs: number;
  /** Flows a second, over the last minute. */
  flowsRate(): number;
}

const SERVICE = "observer.Observer";
/** By this name Hubble's command asks for its health. */
const HEALTH_SERVICE = "hubble.server.Observer";

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
      `/${SERVICE}/GetFlows`,
      {
        kind: "stream",
        answer: (request, stream) =>
          answerFlows(source, parseFlowsRequest(request), stream, { relay: role === "relay" }),
      },
    ],
    [`/${SERVICE}/ServerStatus`, unary(serverStatusResponse, serverStatus)],
    [`/${SERVICE}/GetNodes`, unary(getNodesResponse, nodes)],
    [`/${SERVICE}/GetNamespaces`, unary(emptyMessage, () => ({}))],
    [`/${SERVICE}/GetAgentEvents`, refused("events of Cilium's agent do not exist on a plain host")],
    [`/${SERVICE}/GetDebugEvents`, refused("debug events of Cilium's datapath do not exist on a plain host")],
    ["/grpc.health.v1.Health/Check", unary(healthCheckResponse, health)],
  ]);
}

/** @throws GrpcError for a service that is not here, as the protocol of health checks asks. */
function health(request: Buffer): Values {
  const { service = "" } = decode(healthCheckRequest, request);
  if (!["", SERVICE, HEALTH_SERVICE].includes(service))
    throw new GrpcError(status.notFound, `${service} is not served here`);
  return { status: healthStatus.numbers["SERVING"] };
}

function unary(message: Message, values: (request: Buffer) => Values): Method {
  return {
    kind: "unary",
    answer(request) {
      const writer = byteWriter(256);
      encode(writer, message, values(request));
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
