import { expect, test } from "vitest";
import { protocolNumbers } from "../protocols.ts";
import { answerOf, icmpName } from "./icmp-name.ts";

const { icmp, icmpv6 } = protocolNumbers;

test.each([
  [icmp, 8, 0, "EchoRequest"],
  [icmp, 8, 5, "EchoRequest(Code: 5)"],
  [icmp, 3, 3, "DestinationUnreachable(Port)"],
  [icmp, 3, 200, "DestinationUnreachable(Code: 200)"],
  [icmp, 11, 0, "TimeExceeded(TTLExceeded)"],
  [icmp, 99, 1, "99(1)"],
  [icmpv6, 128, 0, "EchoRequest"],
  [icmpv6, 1, 4, "DestinationUnreachable(PortUnreachable)"],
  [icmpv6, 135, 0, "NeighborSolicitation"],
])("protocol %d, type %d, code %d: %s", (protocol, type, code, name) => {
  expect(icmpName(protocol, type, code)).toBe(name);
});

test("only echoes have answers of their own type", () => {
  expect([answerOf(icmp, 8), answerOf(icmp, 3), answerOf(icmpv6, 128), answerOf(icmpv6, 1)]).toEqual([
    0, 3, 129, 1,
  ]);
});
