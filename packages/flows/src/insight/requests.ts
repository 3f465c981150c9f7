/**
 * The first bytes of requests and answers on plaintext ports, by protocol. What a request asks for is told by its
 * verb alone (and, of HTTP, the path): no statement, key, header or body ever leaves these parsers.
 */
import { httpHeads } from "./http.ts";
import { mysqlHeads } from "./mysql.ts";
import { postgresqlHeads } from "./postgresql.ts";
import { redisHeads } from "./redis.ts";

export interface RequestHead {
  /** HTTP method, or the verb of a statement or command. */
  readonly method: string;
  /** Path of HTTP without its query, null for databases. */
  readonly target: string | null;
  /** False where the protocol sends no answer to it: nothing is to be waited for. */
  readonly isAnswered: boolean;
}

export interface AnswerHead {
  /** HTTP status, SQLSTATE, MySQL error number, first word of a Redis error; null where all is well. */
  readonly status: string | null;
  readonly isError: boolean;
  /** It answers no request yet: the one that waits goes on waiting. */
  readonly isInterim: boolean;
}

/** All take the first bytes of what one side sent; undefined for what is not this protocol. */
export interface HeadParser {
  /** @param bytes 128 are enough. */
  request(bytes: Uint8Array): RequestHead | undefined;
  /** Whether `request` would give one, where that costs less: sums need to know no more. */
  isRequest?(bytes: Uint8Array): boolean;
  /** @param bytes 64 are enough. */
  answer(bytes: Uint8Array): AnswerHead | undefined;
}

export const requestProtocols = ["http", "postgresql", "mysql", "redis"] as const;

export type RequestProtocol = (typeof requestProtocols)[number];

export const requestHeads: Readonly<Record<RequestProtocol, HeadParser>> = {
  http: httpHeads,
  postgresql: postgresqlHeads,
  mysql: mysqlHeads,
  redis: redisHeads,
};
