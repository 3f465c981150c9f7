/**
 * The messages of Hubble's API by field numbers: package `flow` and `observer` of Cilium 1.20, gRPC's health check.
 * Fields that no plain host can fill are left out of `Flow`; a filter has all of them, so that those without a meaning
 * here can be refused by name.
 */
import { enumeration, type Message, message } from "./codec.ts";

export const verdict = enumeration({
  VERDICT_UNKNOWN: 0,
  FORWARDED: 1,
  DROPPED: 2,
  ERROR: 3,
  AUDIT: 4,
  REDIRECTED: 5,
  TRACED: 6,
  TRANSLATED: 7,
});

export const dropReason = enumeration({
  DROP_REASON_UNKNOWN: 0,
  INVALID_SOURCE_MAC: 130,
  INVALID_DESTINATION_MAC: 131,
  INVALID_SOURCE_IP: 132,
  POLICY_DENIED: 133,
  INVALID_PACKET_DROPPED: 134,
  CT_TRUNCATED_OR_INVALID_HEADER: 135,
  CT_MISSING_TCP_ACK_FLAG: 136,
  CT_UNKNOWN_L4_PROTOCOL: 137,
  CT_CANNOT_CREATE_ENTRY_FROM_PACKET: 138,
  UNSUPPORTED_L3_PROTOCOL: 139,
  MISSED_TAIL_CALL: 140,
  ERROR_WRITING_TO_PACKET: 141,
  UNKNOWN_L4_PROTOCOL: 142,
  UNKNOWN_ICMPV4_CODE: 143,
  UNKNOWN_ICMPV4_TYPE: 144,
  UNKNOWN_ICMPV6_CODE: 145,
  UNKNOWN_ICMPV6_TYPE: 146,
  ERROR_RETRIEVING_TUNNEL_KEY: 147,
  ERROR_RETRIEVING_TUNNEL_OPTIONS: 148,
  INVALID_GENEVE_OPTION: 149,
  UNKNOWN_L3_TARGET_ADDRESS: 150,
  STALE_OR_UNROUTABLE_IP: 151,
  NO_MATCHING_LOCAL_CONTAINER_FOUND: 152,
  ERROR_WHILE_CORRECTING_L3_CHECKSUM: 153,
  ERROR_WHILE_CORRECTING_L4_CHECKSUM: 154,
  CT_MAP_INSERTION_FAILED: 155,
  INVALID_IPV6_EXTENSION_HEADER: 156,
  IP_FRAGMENTATION_NOT_SUPPORTED: 157,
  SERVICE_BACKEND_NOT_FOUND: 158,
  NO_TUNNEL_OR_ENCAPSULATION_ENDPOINT: 160,
  FAILED_TO_INSERT_INTO_PROXYMAP: 161,
  REACHED_EDT_RATE_LIMITING_DROP_HORIZON: 162,
  UNKNOWN_CONNECTION_TRACKING_STATE: 163,
  LOCAL_HOST_IS_UNREACHABLE: 164,
  NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION: 165,
  UNSUPPORTED_L2_PROTOCOL: 166,
  NO_MAPPING_FOR_NAT_MASQUERADE: 167,
  UNSUPPORTED_PROTOCOL_FOR_NAT_MASQUERADE: 168,
  FIB_LOOKUP_FAILED: 169,
  ENCAPSULATION_TRAFFIC_IS_PROHIBITED: 170,
  INVALID_IDENTITY: 171,
  UNKNOWN_SENDER: 172,
  NAT_NOT_NEEDED: 173,
  IS_A_CLUSTERIP: 174,
  FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND: 175,
  FORBIDDEN_ICMPV6_MESSAGE: 176,
  DENIED_BY_LB_SRC_RANGE_CHECK: 177,
  SOCKET_LOOKUP_FAILED: 178,
  SOCKET_ASSIGN_FAILED: 179,
  PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL: 180,
  POLICY_DENY: 181,
  VLAN_FILTERED: 182,
  INVALID_VNI: 183,
  INVALID_TC_BUFFER: 184,
  NO_SID: 185,
  MISSING_SRV6_STATE: 186,
  NAT46: 187,
  NAT64: 188,
  AUTH_REQUIRED: 189,
  CT_NO_MAP_FOUND: 190,
  SNAT_NO_MAP_FOUND: 191,
  INVALID_CLUSTER_ID: 192,
  UNSUPPORTED_PROTOCOL_FOR_DSR_ENCAP: 193,
  NO_EGRESS_GATEWAY: 194,
  UNENCRYPTED_TRAFFIC: 195,
  TTL_EXCEEDED: 196,
  NO_NODE_ID: 197,
  DROP_RATE_LIMITED: 198,
  IGMP_HANDLED: 199,
  IGMP_SUBSCRIBED: 200,
  MULTICAST_HANDLED: 201,
  DROP_HOST_NOT_READY: 202,
  DROP_EP_NOT_READY: 203,
  DROP_NO_EGRESS_IP: 204,
  DROP_PUNT_PROXY: 205,
  DROP_FRAG_NOT_FOUND_WORLD: 207,
});

export const flowType = enumeration({ UNKNOWN_TYPE: 0, L3_L4: 1, L7: 2, SOCK: 3 });
export const l7FlowType = enumeration({ UNKNOWN_L7_TYPE: 0, REQUEST: 1, RESPONSE: 2, SAMPLE: 3 });
export const ipVersion = enumeration({ IP_NOT_USED: 0, IPv4: 1, IPv6: 2 });
export const trafficDirection = enumeration({ TRAFFIC_DIRECTION_UNKNOWN: 0, INGRESS: 1, EGRESS: 2 });
export const traceReason = enumeration({
  TRACE_REASON_UNKNOWN: 0,
  NEW: 1,
  ESTABLISHED: 2,
  REPLY: 3,
  RELATED: 4,
});
export const observationPoint = enumeration({
  UNKNOWN_POINT: 0,
  TO_PROXY: 1,
  TO_HOST: 2,
  TO_STACK: 3,
  TO_OVERLAY: 4,
  FROM_ENDPOINT: 5,
  FROM_PROXY: 6,
  FROM_HOST: 7,
  FROM_STACK: 8,
  FROM_OVERLAY: 9,
  FROM_NETWORK: 10,
  TO_NETWORK: 11,
  TO_ENDPOINT: 101,
});
export const lostEventSource = enumeration({
  UNKNOWN_LOST_EVENT_SOURCE: 0,
  PERF_EVENT_RING_BUFFER: 1,
  OBSERVER_EVENTS_QUEUE: 2,
  HUBBLE_RING_BUFFER: 3,
});
export const nodeState = enumeration({
  UNKNOWN_NODE_STATE: 0,
  NODE_CONNECTED: 1,
  NODE_UNAVAILABLE: 2,
  NODE_GONE: 3,
  NODE_ERROR: 4,
});

/** `CiliumEventType.type`: what the datapath of Cilium calls its messages. */
export const eventType = { drop: 1, trace: 4, l7: 129 } as const;

/** Reserved security identities. */
export const identity = { unknown: 0, host: 1, world: 2 } as const;

export const tcpFlagsMessage = message("TCPFlags", {
  FIN: [1, "bool"],
  SYN: [2, "bool"],
  RST: [3, "bool"],
  PSH: [4, "bool"],
  ACK: [5, "bool"],
  URG: [6, "bool"],
  ECE: [7, "bool"],
  CWR: [8, "bool"],
  NS: [9, "bool"],
});

const ports = { source_port: [1, "uint32"], destination_port: [2, "uint32"] } as const;
const icmp = { type: [1, "uint32"], code: [2, "uint32"] } as const;

const layer4Message = message("Layer4", {
  TCP: [1, { message: message("TCP", { ...ports, flags: [3, { message: tcpFlagsMessage }] }) }],
  UDP: [2, { message: message("UDP", ports) }],
  ICMPv4: [3, { message: message("ICMPv4", icmp) }],
  ICMPv6: [4, { message: message("ICMPv6", icmp) }],
  SCTP: [5, { message: message("SCTP", ports) }],
  VRRP: [6, { message: message("VRRP", { type: [1, "uint32"] }) }],
  IGMP: [7, { message: message("IGMP", { type: [1, "uint32"] }) }],
});

const workloadMessage = message("Workload", { name: [1, "string"], kind: [2, "string"] });

const endpointMessage = message("Endpoint", {
  identity: [2, "uint32"],
  namespace: [3, "string"],
  labels: [4, "string", "repeated"],
  pod_name: [5, "string"],
  workloads: [6, { message: workloadMessage }, "repeated"],
});

const httpHeaderMessage = message("HTTPHeader", { key: [1, "string"], value: [2, "string"] });

const layer7Message = message("Layer7", {
  type: [1, { enumeration: l7FlowType }],
  latency_ns: [2, "uint64"],
  dns: [
    100,
    {
      message: message("DNS", {
        query: [1, "string"],
        ips: [2, "string", "repeated"],
        ttl: [3, "uint32"],
        cnames: [4, "string", "repeated"],
        observation_source: [5, "string"],
        rcode: [6, "uint32"],
        qtypes: [7, "string", "repeated"],
        rrtypes: [8, "string", "repeated"],
      }),
    },
  ],
  http: [
    101,
    {
      message: message("HTTP", {
        code: [1, "uint32"],
        method: [2, "string"],
        url: [3, "string"],
        protocol: [4, "string"],
      }),
    },
  ],
});

const interfaceMessage = message("NetworkInterface", { index: [1, "uint32"], name: [2, "string"] });

const policyMessage = message("Policy", {
  name: [1, "string"],
  namespace: [2, "string"],
  labels: [3, "string", "repeated"],
  revision: [4, "uint64"],
  kind: [5, "string"],
});

export const flowMessage: Message = message("Flow", {
  time: [1, "timestamp"],
  uuid: [34, "string"],
  emitter: [41, { message: message("Emitter", { name: [1, "string"], version: [2, "string"] }) }],
  verdict: [2, { enumeration: verdict }],
  drop_reason: [3, "uint32"],
  IP: [
    5,
    {
      message: message("IP", {
        source: [1, "string"],
        source_xlated: [5, "string"],
        destination: [2, "string"],
        ipVersion: [3, { enumeration: ipVersion }],
      }),
    },
  ],
  l4: [6, { message: layer4Message }],
  source: [8, { message: endpointMessage }],
  destination: [9, { message: endpointMessage }],
  Type: [10, { enumeration: flowType }],
  node_name: [11, "string"],
  source_names: [13, "string", "repeated"],
  destination_names: [14, "string", "repeated"],
  l7: [15, { message: layer7Message }],
  reply: [16, "bool"],
  event_type: [19, { message: message("CiliumEventType", { type: [1, "uint32"], sub_type: [2, "uint32"] }) }],
  traffic_direction: [22, { enumeration: trafficDirection }],
  policy_match_type: [23, "uint32"],
  trace_observation_point: [24, { enumeration: observationPoint }],
  trace_reason: [36, { enumeration: traceReason }],
  drop_reason_desc: [25, { enumeration: dropReason }],
  is_reply: [26, { wrapped: "bool" }],
  interface: [28, { message: interfaceMessage }],
  socket_cookie: [32, "uint64"],
  egress_allowed_by: [21_001, { message: policyMessage }, "repeated"],
  ingress_allowed_by: [21_002, { message: policyMessage }, "repeated"],
  egress_denied_by: [21_004, { message: policyMessage }, "repeated"],
  ingress_denied_by: [21_005, { message: policyMessage }, "repeated"],
  Summary: [100_000, "string"],
  extensions: [150_000, "anyString"],
});

export const filterMessage: Message = message("FlowFilter", {
  source_ip: [1, "string", "repeated"],
  source_pod: [2, "string", "repeated"],
  destination_ip: [3, "string", "repeated"],
  destination_pod: [4, "string", "repeated"],
  verdict: [5, { enumeration: verdict }, "repeated"],
  event_type: [
    6,
    {
      message: message("EventTypeFilter", {
        type: [1, "uint32"],
        match_sub_type: [2, "bool"],
        sub_type: [3, "uint32"],
      }),
    },
    "repeated",
  ],
  source_fqdn: [7, "string", "repeated"],
  destination_fqdn: [8, "string", "repeated"],
  http_status_code: [9, "string", "repeated"],
  source_label: [10, "string", "repeated"],
  destination_label: [11, "string", "repeated"],
  protocol: [12, "string", "repeated"],
  source_port: [13, "string", "repeated"],
  destination_port: [14, "string", "repeated"],
  reply: [15, "bool", "repeated"],
  source_service: [16, "string", "repeated"],
  destination_service: [17, "string", "repeated"],
  dns_query: [18, "string", "repeated"],
  source_identity: [19, "uint32", "repeated"],
  destination_identity: [20, "uint32", "repeated"],
  http_method: [21, "string", "repeated"],
  http_path: [22, "string", "repeated"],
  tcp_flags: [23, { message: tcpFlagsMessage }, "repeated"],
  node_name: [24, "string", "repeated"],
  ip_version: [25, { enumeration: ipVersion }, "repeated"],
  source_workload: [26, { message: workloadMessage }, "repeated"],
  destination_workload: [27, { message: workloadMessage }, "repeated"],
  trace_id: [28, "string", "repeated"],
  uuid: [29, "string", "repeated"],
  traffic_direction: [30, { enumeration: trafficDirection }, "repeated"],
  http_url: [31, "string", "repeated"],
  http_header: [32, { message: httpHeaderMessage }, "repeated"],
  drop_reason_desc: [33, { enumeration: dropReason }, "repeated"],
  source_ip_xlated: [34, "string", "repeated"],
  interface: [35, { message: interfaceMessage }, "repeated"],
  node_labels: [36, "string", "repeated"],
  source_cluster_name: [37, "string", "repeated"],
  destination_cluster_name: [38, "string", "repeated"],
  ip_trace_id: [39, "uint64", "repeated"],
  encrypted: [40, "bool", "repeated"],
  experimental: [999, { message: message("Experimental", { cel_expression: [1, "string", "repeated"] }) }],
});

const fieldMaskMessage = message("FieldMask", { paths: [1, "string", "repeated"] });

export const getFlowsRequest: Message = message("GetFlowsRequest", {
  number: [1, "uint64"],
  follow: [3, "bool"],
  blacklist: [5, { message: filterMessage }, "repeated"],
  whitelist: [6, { message: filterMessage }, "repeated"],
  since: [7, "timestamp"],
  until: [8, "timestamp"],
  first: [9, "bool"],
  field_mask: [10, { message: fieldMaskMessage }],
  experimental: [
    999,
    { message: message("Experimental", { field_mask: [1, { message: fieldMaskMessage }] }) },
  ],
});

export const getFlowsResponse: Message = message("GetFlowsResponse", {
  flow: [1, { message: flowMessage }],
  node_status: [
    2,
    {
      message: message("NodeStatusEvent", {
        state_change: [1, { enumeration: nodeState }],
        node_names: [2, "string", "repeated"],
        message: [3, "string"],
      }),
    },
  ],
  lost_events: [
    3,
    {
      message: message("LostEvent", {
        source: [1, { enumeration: lostEventSource }],
        num_events_lost: [2, "uint64"],
        first: [4, "timestamp"],
        last: [5, "timestamp"],
      }),
    },
  ],
  node_name: [1000, "string"],
  time: [1001, "timestamp"],
});

export const serverStatusResponse: Message = message("ServerStatusResponse", {
  num_flows: [1, "uint64"],
  max_flows: [2, "uint64"],
  seen_flows: [3, "uint64"],
  uptime_ns: [4, "uint64"],
  num_connected_nodes: [5, { wrapped: "uint32" }],
  num_unavailable_nodes: [6, { wrapped: "uint32" }],
  unavailable_nodes: [7, "string", "repeated"],
  version: [8, "string"],
  flows_rate: [9, "double"],
});

export const getNodesResponse: Message = message("GetNodesResponse", {
  nodes: [
    1,
    {
      message: message("Node", {
        name: [1, "string"],
        version: [2, "string"],
        address: [3, "string"],
        state: [4, { enumeration: nodeState }],
        tls: [5, { message: message("TLS", { enabled: [1, "bool"], server_name: [2, "string"] }) }],
        uptime_ns: [6, "uint64"],
        num_flows: [7, "uint64"],
        max_flows: [8, "uint64"],
        seen_flows: [9, "uint64"],
      }),
    },
    "repeated",
  ],
});

/** Of requests without fields, and of `GetNamespacesResponse` where there are no namespaces. */
export const emptyMessage: Message = message("Empty", {});

/** https://github.com/grpc/grpc/blob/master/doc/health-checking.md */
export const healthStatus = enumeration({ UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 });
export const healthCheckRequest: Message = message("HealthCheckRequest", { service: [1, "string"] });
export const healthCheckResponse: Message = message("HealthCheckResponse", {
  status: [1, { enumeration: healthStatus }],
});
