/**
 * The kernel's drop reasons (include/net/dropreason-core.h) in Cilium's closed enumeration: the nearest one where
 * both mean the same kind of thing, else DROP_REASON_UNKNOWN. The kernel's own name goes beside it, never lost.
 */
import { dropReason } from "./schema.ts";

const kernelNames: Readonly<Record<string, readonly string[]>> = {
  POLICY_DENIED: [
    "NETFILTER_DROP",
    "SOCKET_FILTER",
    "XFRM_POLICY",
    "BPF_CGROUP_EGRESS",
    "TC_EGRESS",
    "TC_INGRESS",
    "XDP",
    "SECURITY_HOOK",
    "TAP_FILTER",
    "TAP_TXFILTER",
  ],
  SOCKET_LOOKUP_FAILED: ["NO_SOCKET"],
  UNKNOWN_L4_PROTOCOL: ["IP_NOPROTO"],
  UNSUPPORTED_L3_PROTOCOL: ["UNHANDLED_PROTO", "IPV6DISABLED"],
  INVALID_SOURCE_IP: ["IP_RPFILTER", "IP_INVALID_SOURCE", "IP_LOCAL_SOURCE", "IP_LOCALNET"],
  INVALID_SOURCE_MAC: ["MAC_INVALID_SOURCE", "LOCAL_MAC"],
  INVALID_DESTINATION_MAC: ["OTHERHOST", "UNICAST_IN_L2_MULTICAST"],
  INVALID_PACKET_DROPPED: [
    "PKT_TOO_SMALL",
    "PKT_TOO_BIG",
    "HDR_TRUNC",
    "DEV_HDR",
    "INVALID_PROTO",
    "IP_INHDR",
    "IP_CSUM",
    "TCP_CSUM",
    "UDP_CSUM",
    "ICMP_CSUM",
    "SKB_CSUM",
    "TCP_FLAGS",
    "TCP_INVALID_SYN",
    "TCP_INVALID_SEQUENCE",
    "TCP_INVALID_END_SEQUENCE",
    "TCP_INVALID_ACK_SEQUENCE",
  ],
  INVALID_IPV6_EXTENSION_HEADER: ["IPV6_BAD_EXTHDR"],
  FORBIDDEN_ICMPV6_MESSAGE: [
    "IPV6_NDISC_FRAG",
    "IPV6_NDISC_HOP_LIMIT",
    "IPV6_NDISC_BAD_CODE",
    "IPV6_NDISC_BAD_OPTIONS",
    "IPV6_NDISC_NS_OTHERHOST",
  ],
  FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND: ["DUP_FRAG", "FRAG_REASM_TIMEOUT", "FRAG_TOO_FAR"],
  FIB_LOOKUP_FAILED: ["IP_OUTNOROUTES", "IP_INNOROUTES"],
  STALE_OR_UNROUTABLE_IP: ["IP_INADDRERRORS", "IP_INVALID_DEST"],
  UNKNOWN_L3_TARGET_ADDRESS: [
    "NEIGH_CREATEFAIL",
    "NEIGH_FAILED",
    "NEIGH_QUEUEFULL",
    "NEIGH_DEAD",
    "NEIGH_HH_FILLFAIL",
  ],
  DROP_RATE_LIMITED: [
    "QDISC_DROP",
    "QDISC_OVERLIMIT",
    "QDISC_CONGESTED",
    "CAKE_FLOOD",
    "FQ_BAND_LIMIT",
    "FQ_FLOW_LIMIT",
    "CPU_BACKLOG",
    "FULL_RING",
    "DUALPI2_STEP_DROP",
  ],
  REACHED_EDT_RATE_LIMITING_DROP_HORIZON: ["FQ_HORIZON_LIMIT"],
  INVALID_VNI: ["VXLAN_INVALID_HDR", "VXLAN_VNI_NOT_FOUND"],
  TTL_EXCEEDED: ["TCP_MINTTL"],
  UNENCRYPTED_TRAFFIC: ["PSP_INPUT", "PSP_OUTPUT"],
};

const numbers: ReadonlyMap<string, number> = new Map(
  Object.entries(kernelNames).flatMap(([name, kernel]) =>
    kernel.map((one) => [one, dropReason.numbers[name] ?? 0] as const),
  ),
);

/** @param reason as the kernel names it, without SKB_DROP_REASON_. @returns a value of Cilium's DropReason, 0 for none near. */
export function dropReasonOf(reason: string): number {
  return numbers.get(reason) ?? 0;
}
