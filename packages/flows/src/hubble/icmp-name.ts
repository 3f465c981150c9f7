/** Names of ICMP messages as Hubble shows them, in summaries and in the label `type` of hubble_icmp_total. */
import { protocolNumbers } from "../protocols.ts";

type Codes = readonly string[];

const unreachable: Codes = [
  "Net",
  "Host",
  "Protocol",
  "Port",
  "FragmentationNeeded",
  "SourceRoutingFailed",
  "NetUnknown",
  "HostUnknown",
  "SourceIsolated",
  "NetAdminProhibited",
  "HostAdminProhibited",
  "NetTOS",
  "HostTOS",
  "CommAdminProhibited",
  "HostPrecedence",
  "PrecedenceCutoff",
];

const version4: ReadonlyMap<number, readonly [string, Codes?]> = new Map([
  [0, ["EchoReply"]],
  [3, ["DestinationUnreachable", unreachable]],
  [4, ["SourceQuench"]],
  [5, ["Redirect", ["Net", "Host", "TOS+Net", "TOS+Host"]]],
  [8, ["EchoRequest"]],
  [9, ["RouterAdvertisement"]],
  [10, ["RouterSolicitation"]],
  [11, ["TimeExceeded", ["TTLExceeded", "FragmentReassemblyTimeExceeded"]]],
  [12, ["ParameterProblem", ["PointerIndicatesError", "MissingOption", "BadLength"]]],
  [13, ["TimestampRequest"]],
  [14, ["TimestampReply"]],
  [15, ["InfoRequest"]],
  [16, ["InfoReply"]],
  [17, ["AddressMaskRequest"]],
  [18, ["AddressMaskReply"]],
]);

const version6: ReadonlyMap<number, readonly [string, Codes?]> = new Map([
  [
    1,
    [
      "DestinationUnreachable",
      [
        "NoRouteToDst",
        "AdminProhibited",
        "BeyondScopeOfSrc",
        "AddressUnreachable",
        "PortUnreachable",
        "SrcAddressFailedPolicy",
        "RejectRouteToDst",
      ],
    ],
  ],
  [2, ["PacketTooBig"]],
  [3, ["TimeExceeded", ["HopLimitExceeded", "FragmentReassemblyTimeExceeded"]]],
  [4, ["ParameterProblem", ["ErroneousHeaderField", "UnrecognizedNextHeader", "UnrecognizedIPv6Option"]]],
  [128, ["EchoRequest"]],
  [129, ["EchoReply"]],
  [133, ["RouterSolicitation"]],
  [134, ["RouterAdvertisement"]],
  [135, ["NeighborSolicitation"]],
  [136, ["NeighborAdvertisement"]],
  [137, ["Redirect"]],
]);

export function icmpName(protocol: number, type: number, code: number): string {
  const known = (protocol === protocolNumbers.icmp ? version4 : version6).get(type);
  if (known === undefined) return `${type}(${code})`;
  const [name, codes] = known;
  if (codes === undefined && code === 0) return name;
  return `${name}(${codes?.[code] ?? `Code: ${code}`})`;
}

/** The type of an echo's answer; other messages have none. */
export function answerOf(protocol: number, type: number): number {
  if (protocol === protocolNumbers.icmp) return type === 8 ? 0 : type;
  return type === 128 ? 129 : type;
}
