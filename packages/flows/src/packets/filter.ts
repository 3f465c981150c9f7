/** The part of a query that the kernel side answers, in its form. The process is asked for in user space. */
import { parseAddressPrefix, requireProtocol } from "../filter.ts";
import type { PacketsQuery } from "./contract.ts";
import { packetFilterFlag, packetFilterLayout } from "./generated/layout.ts";

/** `struct packet_filter` of bpf/packets.h. @throws X0_FLOWS_INVALID_FILTER */
export function kernelFilter({ ip, port, protocol, snap }: PacketsQuery): Uint8Array {
  const bytes = new Uint8Array(packetFilterLayout.size);
  const view = new DataView(bytes.buffer);
  let flags = 0;
  if (ip !== undefined) {
    const { bytes: address, prefixBits } = parseAddressPrefix(ip);
    flags |= packetFilterFlag.filterAddress;
    // Such a short prefix covers the mapped addresses only by being short: `inPrefix` in src/filter.ts.
    if (prefixBits < 96) flags |= packetFilterFlag.filterSix;
    for (let bit = 0; bit < prefixBits; bit++) {
      const at = packetFilterLayout.mask + (bit >> 3);
      bytes[at] = (bytes[at] as number) | (0x80 >> (bit & 7));
    }
    for (let index = 0; index < 16; index++)
      bytes[packetFilterLayout.address + index] =
        (address[index] as number) & (bytes[packetFilterLayout.mask + index] as number);
  }
  if (port !== undefined) {
    flags |= packetFilterFlag.filterPort;
    view.setUint16(packetFilterLayout.port, port, true);
  }
  if (protocol !== undefined) {
    flags |= packetFilterFlag.filterProtocol;
    bytes[packetFilterLayout.protocol] = requireProtocol(protocol);
  }
  view.setUint32(packetFilterLayout.flags, flags, true);
  view.setUint32(packetFilterLayout.snap, snap, true);
  return bytes;
}
