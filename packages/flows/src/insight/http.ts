/** Heads of HTTP/1 messages: RFC 9112 §3 and §4. HTTP/2 is not one of them. */
import type { AnswerHead, HeadParser, RequestHead } from "./requests.ts";
import { escapeByte, isDigit } from "./text.ts";

/** Of a path; the longest that 128 bytes of a request hold is little more. */
const MAX_PATH = 112;

/** RFC 9110 §9, WebDAV (RFC 4918, 3253, 5323), PATCH (5789), QUERY, and what caches know. */
const methods = `
  GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH
  QUERY PURGE
`
  .trim()
  .split(/\s+/)
  .map((name) => ({ name, bytes: Uint8Array.from(`${name} `, (character) => character.charCodeAt(0)) }));
/** By their first letter: most requests are compared with one of them. */
const methodsByLetter = Array.from({ length: 256 }, (_, letter) =>
  methods.filter(({ bytes }) => bytes[0] === letter),
);

export const httpHeads: HeadParser = {
  isRequest(bytes) {
    const method = methodOf(bytes);
    return method !== undefined && hasTarget(bytes, method.bytes.length, method.name === "CONNECT");
  },

  request(bytes): RequestHead | undefined {
    const method = methodOf(bytes);
    if (method === undefined) return undefined;
    const target = targetOf(bytes, method.bytes.length, method.name === "CONNECT");
    return target === undefined ? undefined : { method: method.name, target, isAnswered: true };
  },

  answer(bytes): AnswerHead | undefined {
    // HTTP/1.x SP three digits
    if (!startsWith(bytes, version) || !isDigit(bytes[7] ?? 0) || bytes[8] !== 0x20) return undefined;
    for (let at = 9; at < 12; at++) if (!isDigit(bytes[at] ?? 0)) return undefined;
    const code = 100 * digit(bytes, 9) + 10 * digit(bytes, 10) + digit(bytes, 11);
    return answers[code - 100];
  },
};

/** One for each status: nothing is made for an answer. */
const answers: readonly AnswerHead[] = Array.from({ length: 500 }, (_, index) => {
  const code = 100 + index;
  // 101 is the last that HTTP says on its connection: it answers.
  return { status: String(code), isError: code >= 500, isInterim: code < 200 && code !== 101 };
});

function methodOf(bytes: Uint8Array): (typeof methods)[number] | undefined {
  for (const method of methodsByLetter[bytes[0] ?? 0] ?? [])
    if (startsWith(bytes, method.bytes)) return method;
  return undefined;
}

function digit(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) - 0x30;
}

const version = Uint8Array.from("HTTP/1.", (character) => character.charCodeAt(0));

/** Whether `targetOf` finds one. */
function hasTarget(bytes: Uint8Array, start: number, isConnect: boolean): boolean {
  return bytes[start] === 0x2f || targetOf(bytes, start, isConnect) !== undefined;
}

/**
 * The path of the four forms of RFC 9112 §3.2: without query, fragment, parameters and user, any of which may be
 * secret. Null for CONNECT, which has none; undefined for what is no target.
 */
function targetOf(bytes: Uint8Array, start: number, isConnect: boolean): string | null | undefined {
  if (isConnect) return null;
  if (bytes[start] === 0x2f) return pathFrom(bytes, start);
  if (bytes[start] === 0x2a) return bytes[start + 1] === 0x20 ? "*" : undefined;
  return pathOfAbsolute(bytes, start);
}

function pathOfAbsolute(bytes: Uint8Array, start: number): string | undefined {
  const end = endOfTarget(bytes, start);
  const colon = bytes.indexOf(0x3a, start);
  const isAbsolute =
    colon > start && colon + 2 < end && bytes[colon + 1] === 0x2f && bytes[colon + 2] === 0x2f;
  if (!isAbsolute) return undefined;
  const slash = bytes.indexOf(0x2f, colon + 3);
  if (slash >= 0 && slash < end) return pathFrom(bytes, slash);
  return end < bytes.length ? "/" : "…";
}

function endOfTarget(bytes: Uint8Array, start: number): number {
  let at = start;
  while (at < bytes.length && (bytes[at] as number) > 0x20) at++;
  return at;
}

/** Ends with … where the path goes on behind what was captured, or is too long. */
function pathFrom(bytes: Uint8Array, start: number): string {
  const most = Math.min(bytes.length, start + MAX_PATH);
  let end = start;
  let isPlain = true;
  for (; end < most; end++) {
    const byte = bytes[end] as number;
    if (endsPath(byte)) break;
    if (byte < 0x21 || byte > 0x7e || byte === 0x5c) isPlain = false;
  }
  let path = "";
  if (isPlain) path = String.fromCharCode.apply(null, bytes.subarray(start, end) as unknown as number[]);
  else for (let at = start; at < end; at++) path += escapeByte(bytes[at] as number);
  return end < bytes.length && endsPath(bytes[end] as number) ? path : `${path}…`;
}

/** A blank, the end of the line, and what begins a query, a fragment or parameters. */
function endsPath(byte: number): boolean {
  return byte === 0x20 || byte === 0x3f || byte === 0x23 || byte === 0x3b || byte === 0x0d || byte === 0x0a;
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  if (bytes.length < start.length) return false;
  for (let at = 0; at < start.length; at++) if (bytes[at] !== start[at]) return false;
  return true;
}
