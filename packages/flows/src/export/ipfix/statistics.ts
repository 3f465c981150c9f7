/** What the exporting process says of itself, by an options template (RFC 7011 §4.1 and §4.3). */
import { KINDS } from "./elements.ts";
import { FIRST_TEMPLATE, OPTIONS_TEMPLATE_SET, putU64, SET_HEADER_BYTES, setOf } from "./wire.ts";

export interface Statistics {
  readonly messages: number;
  readonly records: number;
  readonly octets: number;
  readonly notSentRecords: number;
  readonly ignoredPackets: number;
  readonly ignoredOctets: number;
}

const STATISTICS_TEMPLATE = FIRST_TEMPLATE + KINDS;
/** observationDomainId as the scope, then exportedMessage-, exportedFlowRecord-, exportedOctet-, notSentFlow-, ignoredPacket- and ignoredOctetTotalCount. */
const statisticsElements = [41, 42, 40, 166, 164, 165] as const;

export const statisticsAnnouncement: Uint8Array = setOf(OPTIONS_TEMPLATE_SET, [
  STATISTICS_TEMPLATE,
  1 + statisticsElements.length,
  1,
  ...[149, 4],
  ...statisticsElements.flatMap((id) => [id, 8]),
]);

/** A data set with one record. */
export function statisticsSet(domain: number, totals: Statistics): Uint8Array {
  const values = [
    totals.messages,
    totals.records,
    totals.octets,
    totals.notSentRecords,
    totals.ignoredPackets,
    totals.ignoredOctets,
  ];
  const bytes = new Uint8Array(SET_HEADER_BYTES + 4 + values.length * 8);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, STATISTICS_TEMPLATE);
  view.setUint16(2, bytes.length);
  view.setUint32(4, domain);
  for (const [index, value] of values.entries()) putU64(view, SET_HEADER_BYTES + 4 + index * 8, value);
  return bytes;
}
