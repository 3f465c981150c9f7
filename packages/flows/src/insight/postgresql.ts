/** Heads of PostgreSQL's protocol 3: its documentation, "Message Formats" and "Error and Notice Message Fields". */
import type { AnswerHead, HeadParser, RequestHead } from "./requests.ts";
import { sqlVerb } from "./sql.ts";
import { isDigit, isLetter } from "./text.ts";
import { OTHER } from "./words.ts";

const code = (letter: string): number => letter.charCodeAt(0);

/** A message may have 1 GiB less a few bytes (MaxAllocSize); a first one 10,000 (MAX_STARTUP_PACKET_LENGTH). */
const MAX_MESSAGE = 0x3fff_ffff;
const MAX_STARTUP = 10_000;

/** Bytes of the first message in place of a protocol version. */
const startup: Readonly<Record<number, RequestHead>> = {
  196608: answered("STARTUP"),
  196610: answered("STARTUP"),
  80877103: answered("SSLREQUEST"),
  80877104: answered("GSSENCREQUEST"),
  80877102: { method: "CANCEL", target: null, isAnswered: false },
};

/** By the first byte; a statement's verb stands in place of QUERY and PARSE. */
const requests: Readonly<Record<number, RequestHead>> = {
  [code("Q")]: answered("QUERY"),
  [code("P")]: answered("PARSE"),
  [code("B")]: answered("EXECUTE"),
  [code("E")]: answered("EXECUTE"),
  [code("D")]: answered("DESCRIBE"),
  [code("C")]: answered("CLOSE"),
  [code("S")]: answered("SYNC"),
  [code("H")]: answered("FLUSH"),
  [code("F")]: answered("CALL"),
  [code("p")]: answered("AUTHENTICATE"),
  [code("c")]: answered("COPY"),
  [code("f")]: answered("COPY"),
  [code("d")]: { method: "COPY", target: null, isAnswered: false },
  [code("X")]: { method: "TERMINATE", target: null, isAnswered: false },
};

const answers = new Set([..."RKSZTDCEINA123nstGHWvVc"].map(code));

export const postgresqlHeads: HeadParser = {
  request(bytes): RequestHead | undefined {
    if (bytes.length < 5) return undefined;
    if (bytes[0] === 0) return u32(bytes, 0) <= MAX_STARTUP ? startup[u32(bytes, 4)] : undefined;
    const request = requests[bytes[0] as number];
    if (request === undefined || !isLength(u32(bytes, 1))) return undefined;
    const end = Math.min(bytes.length, 1 + u32(bytes, 1));
    if (bytes[0] === code("Q")) return answered(sqlVerb(bytes.subarray(0, end), 5));
    if (bytes[0] !== code("P")) return request;
    const name = bytes.indexOf(0, 5);
    return answered(name < 0 ? OTHER : sqlVerb(bytes.subarray(0, end), name + 1));
  },

  answer(bytes): AnswerHead | undefined {
    const first = bytes[0] ?? 0;
    // The one byte that answers SSLREQUEST and GSSENCREQUEST.
    if (bytes.length === 1 && (first === code("S") || first === code("N") || first === code("G")))
      return fine;
    if (bytes.length < 5 || !answers.has(first) || !isLength(u32(bytes, 1))) return undefined;
    // Parse and Bind may have gone well before what failed.
    for (let at = 0; at + 5 <= bytes.length; ) {
      const end = at + 1 + u32(bytes, at + 1);
      if (bytes[at] === code("E"))
        return { status: sqlState(bytes, at + 5, end), isError: true, isInterim: false };
      // What other sessions notify of comes at any time.
      if (at === 0 && first === code("A") && end === bytes.length) return interim;
      if (end <= at + 1) break;
      at = end;
    }
    return fine;
  },
};

const fine: AnswerHead = { status: null, isError: false, isInterim: false };
const interim: AnswerHead = { status: null, isError: false, isInterim: true };

function answered(method: string): RequestHead {
  return { method, target: null, isAnswered: true };
}

function isLength(length: number): boolean {
  return length >= 4 && length <= MAX_MESSAGE;
}

/** The field C: five letters and digits, behind the severities. */
function sqlState(bytes: Uint8Array, start: number, end: number): string | null {
  for (let at = start; at < end && at < bytes.length && bytes[at] !== 0; ) {
    if (bytes[at] === code("C")) {
      const state = bytes.subarray(at + 1, at + 6);
      const isState = state.length === 5 && state.every((byte) => isDigit(byte) || isLetter(byte));
      return isState ? String.fromCharCode(...state) : null;
    }
    const next = bytes.indexOf(0, at);
    if (next < 0) return null;
    at = next + 1;
  }
  return null;
}

function u32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] ?? 0) << 24) |
      ((bytes[at + 1] ?? 0) << 16) |
      ((bytes[at + 2] ?? 0) << 8) |
      (bytes[at + 3] ?? 0)) >>>
    0
  );
}
