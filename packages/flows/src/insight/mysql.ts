/** Heads of MySQL's and MariaDB's packets: "MySQL Source Code Documentation", Client/Server Protocol. */
import type { AnswerHead, HeadParser, RequestHead } from "./requests.ts";
import { sqlVerb } from "./sql.ts";

const HEADER = 4;
const command = { query: 0x03, prepare: 0x16 } as const;

/** By the command byte; a statement's verb stands in place of QUERY and PREPARE. */
const commands: Readonly<Record<number, RequestHead>> = {
  1: unanswered("QUIT"),
  2: answered("INIT_DB"),
  3: answered("QUERY"),
  4: answered("FIELD_LIST"),
  5: answered("CREATE_DB"),
  6: answered("DROP_DB"),
  7: answered("REFRESH"),
  8: answered("SHUTDOWN"),
  9: answered("STATISTICS"),
  10: answered("PROCESS_INFO"),
  12: answered("PROCESS_KILL"),
  13: answered("DEBUG"),
  14: answered("PING"),
  17: answered("CHANGE_USER"),
  18: answered("BINLOG_DUMP"),
  19: answered("TABLE_DUMP"),
  21: answered("REGISTER_REPLICA"),
  22: answered("PREPARE"),
  23: answered("EXECUTE"),
  24: unanswered("SEND_LONG_DATA"),
  25: unanswered("CLOSE"),
  26: answered("RESET"),
  27: answered("SET_OPTION"),
  28: answered("FETCH"),
  30: answered("BINLOG_DUMP_GTID"),
  31: answered("RESET_CONNECTION"),
  32: answered("CLONE"),
};
const login = answered("LOGIN");
const sslRequest = unanswered("SSLREQUEST");
/** Length of a login that only asks for TLS, and the capability that it carries. */
const SSL_REQUEST_BYTES = 32;
const CLIENT_SSL = 0x800;
/** Packets of a login are numbered on from the server's greeting; no method of authentication takes more. */
const MAX_LOGIN_SEQUENCE = 16;

export const mysqlHeads: HeadParser = {
  request(bytes): RequestHead | undefined {
    const length = u24(bytes);
    if (bytes.length <= HEADER || length === 0) return undefined;
    const sequence = bytes[3] as number;
    if (sequence !== 0) {
      const isSsl = length === SSL_REQUEST_BYTES && (((bytes[5] ?? 0) << 8) & CLIENT_SSL) !== 0;
      return sequence > MAX_LOGIN_SEQUENCE ? undefined : isSsl && sequence === 1 ? sslRequest : login;
    }
    const kind = bytes[HEADER] as number;
    const request = commands[kind];
    const hasText = kind === command.query || kind === command.prepare;
    if (!hasText || request === undefined) return request;
    // With query attributes (8.0.23) two counts stand before the text; with attributes, it is too far behind.
    const hasAttributes = kind === command.query && bytes[HEADER + 1] === 0 && bytes[HEADER + 2] === 1;
    const packet = bytes.subarray(0, HEADER + length);
    return answered(sqlVerb(packet, hasAttributes ? HEADER + 3 : HEADER + 1));
  },

  answer(bytes): AnswerHead | undefined {
    if (bytes.length <= HEADER || u24(bytes) === 0) return undefined;
    const sequence = bytes[3] as number;
    const kind = bytes[HEADER] as number;
    // An error may also come in place of the greeting: too many connections.
    if (kind === 0xff) {
      if (bytes.length < HEADER + 3) return undefined;
      const number = (bytes[HEADER + 1] as number) | ((bytes[HEADER + 2] as number) << 8);
      return { status: String(number), isError: true, isInterim: false };
    }
    if (sequence === 0) return kind === 10 || kind === 9 ? greeting : undefined;
    return fine;
  },
};

const fine: AnswerHead = { status: null, isError: false, isInterim: false };
/** The server speaks first. */
const greeting: AnswerHead = { status: null, isError: false, isInterim: true };

function answered(method: string): RequestHead {
  return { method, target: null, isAnswered: true };
}

function unanswered(method: string): RequestHead {
  return { method, target: null, isAnswered: false };
}

function u24(bytes: Uint8Array): number {
  return (bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8) | ((bytes[2] ?? 0) << 16);
}
