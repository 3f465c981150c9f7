/**
 * The first handshake message of one side of a TLS connection, put together from TCP segments in any order and from
 * TLS records of any size (RFC 8446 §5.1).
 */

export interface HandshakeStream {
  /**
   * @param sequence of the first byte.
   * @returns the message's body, cut if it is longer than the limits allow; undefined while more is needed; "other" if
   *   the stream does not begin with such a message.
   */
  add(sequence: number, bytes: Uint8Array): Uint8Array | "other" | undefined;
  /** The body as far as it came, undefined where nothing is held. */
  flush(): Uint8Array | undefined;
  heldBytes(): number;
}

export interface HandshakeLimits {
  /** Bytes held of one side. */
  readonly messageBytes: number;
  /** Segments held of one side. */
  readonly segments: number;
}

interface Segment {
  readonly sequence: number;
  readonly bytes: Uint8Array;
}

interface Message {
  readonly body: Uint8Array;
  /** Whole, or known to go on never. */
  readonly isDone: boolean;
}

const RECORD_HEADER = 5;
const MESSAGE_HEADER = 4;
const record = { alert: 21, handshake: 22 } as const;
/** Of a record: 2^14, and what encryption may add (RFC 8446 §5.2). */
const MAX_RECORD = 16_384 + 256;

/** @param type of the handshake message. */
export function createHandshakeStream(type: number, limits: HandshakeLimits): HandshakeStream {
  // By sequence.
  let held: readonly Segment[] = [];
  let heldBytes = 0;
  let first: number | undefined;

  /** From its first byte as far as it is without a gap; of bytes sent twice, those with the lower sequence count. */
  const contiguous = (from: number): Uint8Array => {
    const joined = new Uint8Array(heldBytes);
    let length = 0;
    for (const { sequence, bytes } of held) {
      const known = length - ((sequence - from) | 0);
      if (known < 0) break;
      if (known >= bytes.length) continue;
      joined.set(bytes.subarray(known), length);
      length += bytes.length - known;
    }
    return joined.subarray(0, length);
  };

  return {
    add(sequence, bytes) {
      const isStart = startsHandshake(bytes, type);
      if (held.length === 0) {
        // The common case: all of it in one segment, nothing to hold.
        const message = isStart ? readMessage(bytes) : undefined;
        if (message?.isDone === true) return message.body;
        if (startsAlert(bytes)) return "other";
      }
      if (isStart && (first === undefined || ((sequence - first) | 0) < 0)) first = sequence;
      if (held.length >= limits.segments || heldBytes + bytes.length > limits.messageBytes)
        return first === undefined ? "other" : readMessage(contiguous(first)).body;
      held = insert(held, { sequence, bytes: bytes.slice() });
      heldBytes += bytes.length;
      if (first === undefined) return undefined;
      const message = readMessage(contiguous(first));
      return message.isDone ? message.body : undefined;
    },
    flush: () => (first === undefined ? undefined : readMessage(contiguous(first)).body),
    heldBytes: () => heldBytes,
  };
}

/** Sequence numbers wrap. Of two segments with the same, the one that came first stays in front. */
function insert(segments: readonly Segment[], segment: Segment): Segment[] {
  const behind = segments.findIndex(({ sequence }) => ((sequence - segment.sequence) | 0) > 0);
  return segments.toSpliced(behind < 0 ? segments.length : behind, 0, segment);
}

/** The type of the handshake message that a segment begins with; undefined where it does not, or is too short to say. */
export function firstHandshake(bytes: Uint8Array): number | undefined {
  const type = bytes[RECORD_HEADER];
  return type !== undefined && startsHandshake(bytes, type) ? type : undefined;
}

/** Also of fewer bytes than that takes, as far as they go: some clients cut even the record's header. */
function startsHandshake(bytes: Uint8Array, type: number): boolean {
  const isRecord = bytes[0] === record.handshake && (bytes[1] ?? 3) === 3 && (bytes[2] ?? 0) <= 4;
  if (!isRecord || bytes.length < RECORD_HEADER) return isRecord;
  const length = recordLength(bytes, 0);
  return length > 0 && length <= MAX_RECORD && (bytes[RECORD_HEADER] ?? type) === type;
}

function startsAlert(bytes: Uint8Array): boolean {
  return bytes[0] === record.alert && bytes[1] === 3 && recordLength(bytes, 0) === 2;
}

/** The first message of a stream of records. It stops at a record that is no handshake: none may lie between. */
function readMessage(stream: Uint8Array): Message {
  let next = RECORD_HEADER + recordLength(stream, 0);
  let message = stream.subarray(RECORD_HEADER, next);
  if (!isWhole(message) && next < stream.length) {
    const joined = new Uint8Array(stream.length);
    joined.set(message);
    let length = message.length;
    while (!isWhole(message) && next + RECORD_HEADER <= stream.length) {
      const start = next + RECORD_HEADER;
      if (stream[next] !== record.handshake) return { body: message.subarray(MESSAGE_HEADER), isDone: true };
      next = start + recordLength(stream, next);
      joined.set(stream.subarray(start, next), length);
      length += Math.min(next, stream.length) - start;
      message = joined.subarray(0, length);
    }
  }
  return {
    body: message.subarray(MESSAGE_HEADER, MESSAGE_HEADER + messageLength(message)),
    isDone: isWhole(message),
  };
}

function isWhole(message: Uint8Array): boolean {
  return message.length >= MESSAGE_HEADER && message.length >= MESSAGE_HEADER + messageLength(message);
}

function messageLength(message: Uint8Array): number {
  return ((message[1] ?? 0) << 16) | ((message[2] ?? 0) << 8) | (message[3] ?? 0);
}

function recordLength(bytes: Uint8Array, at: number): number {
  return ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0);
}
