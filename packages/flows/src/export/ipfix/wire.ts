/** Messages and sets as RFC 7011 §3 lays them out. */

export const HEADER_BYTES = 16;
export const SET_HEADER_BYTES = 4;
/** The lowest that §3.4.1 gives to templates. */
export const FIRST_TEMPLATE = 256;
export const TEMPLATE_SET = 2;
export const OPTIONS_TEMPLATE_SET = 3;
const VERSION = 10;

export interface MessageHeader {
  readonly exportMs: number;
  readonly sequence: number;
  readonly domain: number;
}

/** Writes the header of a message that is otherwise complete. */
export function stamp(message: Uint8Array, { exportMs, sequence, domain }: MessageHeader): void {
  const view = new DataView(message.buffer, message.byteOffset);
  view.setUint16(0, VERSION);
  view.setUint16(2, message.length);
  view.setUint32(4, Math.floor(exportMs / 1000));
  view.setUint32(8, sequence);
  view.setUint32(12, domain);
}

/** A set of 16-bit words. */
export function setOf(id: number, words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(SET_HEADER_BYTES + words.length * 2);
  const view = new DataView(bytes.buffer);
  for (const [index, word] of [id, bytes.length, ...words].entries()) view.setUint16(index * 2, word);
  return bytes;
}

/** A counter that is a double here: exact below 2^53, which is 9 PB. */
export function putU64(view: DataView, at: number, value: number): void {
  const whole = Math.max(0, Math.floor(value));
  view.setUint32(at, Math.floor(whole / 2 ** 32));
  view.setUint32(at + 4, whole >>> 0);
}
