import { expect, test } from "vitest";
import { dropReasonOf } from "./drop-reason.ts";
import { dropReason } from "./schema.ts";

test.each<[string, string]>([
  ["NETFILTER_DROP", "POLICY_DENIED"],
  ["NO_SOCKET", "SOCKET_LOOKUP_FAILED"],
  ["IP_RPFILTER", "INVALID_SOURCE_IP"],
  ["TCP_CSUM", "INVALID_PACKET_DROPPED"],
  ["QDISC_DROP", "DROP_RATE_LIMITED"],
  ["FQ_HORIZON_LIMIT", "REACHED_EDT_RATE_LIMITING_DROP_HORIZON"],
  ["IP_OUTNOROUTES", "FIB_LOOKUP_FAILED"],
  ["NOT_SPECIFIED", "DROP_REASON_UNKNOWN"],
  ["SOMETHING_NEW", "DROP_REASON_UNKNOWN"],
])("%s is nearest to %s", (kernel, cilium) => {
  expect(dropReason.names.get(dropReasonOf(kernel))).toBe(cilium);
});
