/** A small reader of IPFIX (RFC 7011) for tests: strict, and independent of the tables that the encoder uses. */
import { formatAddress } from "../../address.ts";

/** By element number, those of RFC 5103 with a minus sign. */
export type Values = ReadonlyMap<number, bigint | string>;

export interface ReadMessage {
  readonly exportSeconds: number;
  readonly sequence: number;
  readonly domain: number;
  readonly length: number;
  readonly records: readonly { readonly template: number; readonly values: Values }[];
  readonly templates: readonly number[];
}

interface Element {
  readonly id: number;
  readonly bytes: number;
}

export interface IpfixReader {
  /** @throws where a message contradicts itself or uses a template that was not announced */
  read(message: Uint8Array): ReadMessage;
}

const fourBytes = [8, 12, 225, 226];
const sixteenBytes = [27, 28, 281, 282];

/** Templates are remembered by observation domain, as a transport session does. */
export function ipfixReader(): IpfixReader {
  const templates = new Map<string, readonly Element[]>();
  return {
    read(message) {
      const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
      const length = view.getUint16(2);
      if (view.getUint16(0) !== 10) throw new Error(`version ${view.getUint16(0)}`);
      if (length !== message.length) throw new Error(`length ${length} of ${message.length} bytes`);
      const domain = view.getUint32(12);
      const records: { template: number; values: Values }[] = [];
      const announced: number[] = [];
      let at = 16;
      while (at < length) {
        const set = view.getUint16(at);
        const end = at + view.getUint16(at + 2);
        if (end > length || end - at < 4) throw new Error(`a set of ${end - at} bytes`);
        at += 4;
        if (set === 2 || set === 3) {
          while (at < end) {
            const id = view.getUint16(at);
            const count = view.getUint16(at + 2);
            at += set === 3 ? 6 : 4;
            const elements: Element[] = [];
            for (let index = 0; index < count; index++) {
              const number = view.getUint16(at);
              const bytes = view.getUint16(at + 2);
              at += 4;
              if ((number & 0x8000) === 0) elements.push({ id: number, bytes });
              else {
                if (view.getUint32(at) !== 29_305) throw new Error(`enterprise ${view.getUint32(at)}`);
                elements.push({ id: -(number & 0x7fff), bytes });
                at += 4;
              }
            }
            templates.set(`${domain} ${id}`, elements);
            announced.push(id);
          }
        } else {
          const elements = templates.get(`${domain} ${set}`);
          if (elements === undefined) throw new Error(`no template ${set} in domain ${domain}`);
          while (at < end) {
            const values = new Map<number, bigint | string>();
            for (const { id, bytes } of elements) {
              values.set(id, readValue(message.subarray(at, at + bytes), id));
              at += bytes;
            }
            records.push({ template: set, values });
          }
        }
        if (at !== end) throw new Error(`a set ends at ${end}, not ${at}`);
      }
      return {
        exportSeconds: view.getUint32(4),
        sequence: view.getUint32(8),
        domain,
        length,
        records,
        templates: announced,
      };
    },
  };
}

function readValue(bytes: Uint8Array, id: number): bigint | string {
  if (sixteenBytes.includes(id)) return formatAddress(bytes);
  if (fourBytes.includes(id)) return bytes.join(".");
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** Cuts a stream into its messages. @returns them and what is left of one that has not come whole */
export function splitMessages(stream: Uint8Array): {
  readonly messages: readonly Uint8Array[];
  readonly rest: Uint8Array;
} {
  const messages: Uint8Array[] = [];
  let at = 0;
  while (stream.length - at >= 4) {
    const length = new DataView(stream.buffer, stream.byteOffset + at).getUint16(2);
    if (length < 16) throw new Error(`a message of ${length} bytes`);
    if (stream.length - at < length) break;
    messages.push(stream.subarray(at, at + length));
    at += length;
  }
  return { messages, rest: stream.subarray(at) };
}
