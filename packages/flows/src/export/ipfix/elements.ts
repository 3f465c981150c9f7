/**
 * The fields of our data records: IANA's information elements (https://www.iana.org/assignments/ipfix). The counters
 * of the other way are the reverse elements of RFC 5103.
 */
import { isMappedIPv4 } from "../../address.ts";
import { isIcmpProtocol, type Way } from "./way.ts";
import { putU64 } from "./wire.ts";

export interface Field {
  readonly name: string;
  readonly id: number;
  readonly bytes: number;
  readonly reverse?: true;
  put(view: DataView, at: number, way: Way): void;
}

/** Kinds of flows, as bits. */
const SIX = 1;
const ICMP = 2;
const TRANSLATED = 4;
export const KINDS = 8;

export function kindOf(way: Way): number {
  return (
    (isMappedIPv4(way.source) ? 0 : SIX) |
    (isIcmpProtocol(way.protocol) ? ICMP : 0) |
    (way.translated === undefined ? 0 : TRANSLATED)
  );
}

/** All that there are, for a field mask. */
export function elementNames(): ReadonlySet<string> {
  const kinds = Array.from({ length: KINDS }, (_, kind) => fieldsOf(kind));
  return new Set(kinds.flat().map(({ name }) => name));
}

export function fieldsOf(kind: number): readonly Field[] {
  const six = (kind & SIX) !== 0;
  const ports = kind & ICMP ? [six ? icmpSix : icmpFour] : [sourcePort, destinationPort, flags, reverseFlags];
  const translated = kind & TRANSLATED ? (six ? translatedSix : translatedFour) : [];
  const translatedPorts = kind & TRANSLATED && !(kind & ICMP) ? portsTranslated : [];
  return [
    ...times,
    ...(six ? addressesSix : addressesFour),
    ...ports,
    ...common,
    ...translated,
    ...translatedPorts,
  ];
}

const u8 =
  (take: (way: Way) => number): Field["put"] =>
  (view, at, way) =>
    view.setUint8(at, take(way));
const u16 =
  (take: (way: Way) => number): Field["put"] =>
  (view, at, way) =>
    view.setUint16(at, take(way));
const u32 =
  (take: (way: Way) => number): Field["put"] =>
  (view, at, way) =>
    view.setUint32(at, take(way));
const u64 =
  (take: (way: Way) => number): Field["put"] =>
  (view, at, way) =>
    putU64(view, at, take(way));
const four =
  (addressOf: (way: Way) => Uint8Array | undefined): Field["put"] =>
  (view, at, way) =>
    putBytes(view, at, addressOf(way)?.subarray(12));
const sixteen =
  (addressOf: (way: Way) => Uint8Array | undefined): Field["put"] =>
  (view, at, way) =>
    putBytes(view, at, addressOf(way));

const times: readonly Field[] = [
  { name: "flowStartMilliseconds", id: 152, bytes: 8, put: u64((way) => way.startMs) },
  { name: "flowEndMilliseconds", id: 153, bytes: 8, put: u64((way) => way.endMs) },
];
const addressesFour: readonly Field[] = [
  { name: "sourceIPv4Address", id: 8, bytes: 4, put: four((way) => way.source) },
  { name: "destinationIPv4Address", id: 12, bytes: 4, put: four((way) => way.destination) },
];
const addressesSix: readonly Field[] = [
  { name: "sourceIPv6Address", id: 27, bytes: 16, put: sixteen((way) => way.source) },
  { name: "destinationIPv6Address", id: 28, bytes: 16, put: sixteen((way) => way.destination) },
];
const icmpFour: Field = { name: "icmpTypeCodeIPv4", id: 32, bytes: 2, put: u16((way) => way.icmp) };
const icmpSix: Field = { name: "icmpTypeCodeIPv6", id: 139, bytes: 2, put: u16((way) => way.icmp) };
const sourcePort: Field = { name: "sourceTransportPort", id: 7, bytes: 2, put: u16((way) => way.sourcePort) };
const destinationPort: Field = {
  name: "destinationTransportPort",
  id: 11,
  bytes: 2,
  put: u16((way) => way.destinationPort),
};
/** Two bytes since RFC 7125. */
const flags: Field = { name: "tcpControlBits", id: 6, bytes: 2, put: u16((way) => way.flags) };
const reverseFlags: Field = {
  name: "tcpControlBits",
  id: 6,
  bytes: 2,
  reverse: true,
  put: u16((way) => way.reverseFlags),
};
const common: readonly Field[] = [
  { name: "protocolIdentifier", id: 4, bytes: 1, put: u8((way) => way.protocol) },
  { name: "octetDeltaCount", id: 1, bytes: 8, put: u64((way) => way.bytes) },
  { name: "packetDeltaCount", id: 2, bytes: 8, put: u64((way) => way.packets) },
  { name: "octetDeltaCount", id: 1, bytes: 8, reverse: true, put: u64((way) => way.reverseBytes) },
  { name: "packetDeltaCount", id: 2, bytes: 8, reverse: true, put: u64((way) => way.reversePackets) },
  { name: "ingressInterface", id: 10, bytes: 4, put: u32((way) => (way.isEgress ? 0 : way.interfaceIndex)) },
  { name: "egressInterface", id: 14, bytes: 4, put: u32((way) => (way.isEgress ? way.interfaceIndex : 0)) },
  { name: "flowDirection", id: 61, bytes: 1, put: u8((way) => (way.isEgress ? 1 : 0)) },
  { name: "flowEndReason", id: 136, bytes: 1, put: u8((way) => way.endReason) },
  { name: "flowId", id: 148, bytes: 8, put: u64((way) => way.id) },
];
const translatedFour: readonly Field[] = [
  { name: "postNATSourceIPv4Address", id: 225, bytes: 4, put: four((way) => way.translated?.source) },
  {
    name: "postNATDestinationIPv4Address",
    id: 226,
    bytes: 4,
    put: four((way) => way.translated?.destination),
  },
];
const translatedSix: readonly Field[] = [
  { name: "postNATSourceIPv6Address", id: 281, bytes: 16, put: sixteen((way) => way.translated?.source) },
  {
    name: "postNATDestinationIPv6Address",
    id: 282,
    bytes: 16,
    put: sixteen((way) => way.translated?.destination),
  },
];
const portsTranslated: readonly Field[] = [
  {
    name: "postNAPTSourceTransportPort",
    id: 227,
    bytes: 2,
    put: u16((way) => way.translated?.sourcePort ?? 0),
  },
  {
    name: "postNAPTDestinationTransportPort",
    id: 228,
    bytes: 2,
    put: u16((way) => way.translated?.destinationPort ?? 0),
  },
];

function putBytes(view: DataView, at: number, bytes: Uint8Array | undefined): void {
  for (let index = 0; index < (bytes?.length ?? 0); index++)
    view.setUint8(at + index, bytes?.[index] as number);
}
