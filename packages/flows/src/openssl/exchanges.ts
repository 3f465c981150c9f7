/**
 * Reads what the probes tell. The heads are parsed here and nowhere else: method, path without query, and status
 * leave; headers, bodies and queries do not.
 */
import { httpHeads } from "../insight/http.ts";
import { mapAccess } from "../kernel/bpf.ts";
import { possibleCpus } from "../kernel/cpus.ts";
import { kernelError, type Libc } from "../kernel/libc.ts";
import { openRing } from "../kernel/ring.ts";
import { sslExchangeLayout as layout, sslTotalsLayout } from "./generated/layout.ts";
import type { MapName } from "./programs.ts";

/** One HTTP request inside TLS and its answer. */
export interface OpensslExchange {
  readonly pid: number;
  /** The process answered; else it asked. */
  readonly isServer: boolean;
  /** Of its socket, decimal; null where it is not known. */
  readonly cookie: string | null;
  /** CLOCK_MONOTONIC, when the request's first byte was there in plain text. */
  readonly beganNs: number;
  /** From there to the answer's first byte. */
  readonly latencyNs: number;
  readonly method: string;
  /** Path without its query, null for CONNECT. */
  readonly target: string | null;
  readonly status: string | null;
  readonly isError: boolean;
}

export interface OpensslTotals {
  /** Of probed functions. */
  readonly calls: number;
  readonly exchanges: number;
  /** Exchanges that found no room in the ring. */
  readonly lost: number;
  /** Exchanges that were no HTTP/1 after all. */
  readonly unread: number;
}

export interface ExchangeReader {
  /** Takes what the kernel has told since the last time. */
  read(): void;
  totals(): OpensslTotals;
  close(): void;
}

/** As in openssl.bpf.c. */
const RING_BYTES = 1 << 20;

/** @throws X0_FLOWS_KERNEL_CALL */
export function createExchangeReader(
  libc: Libc,
  maps: Readonly<Record<MapName, number>>,
  onExchange: (exchange: OpensslExchange) => void,
): ExchangeReader {
  const ring = openRing(libc, maps.exchanges, RING_BYTES);
  const cpus = possibleCpus();
  const key = libc.allocate(4);
  const value = libc.allocate(sslTotalsLayout.size * cpus);
  const access = mapAccess(libc);
  let unread = 0;

  const visit = (words: Uint32Array, at: number): void => {
    const word = (field: number): number => words[at + field / 4] as number;
    const u64 = (field: number): number => word(field) + word(field + 4) * 2 ** 32;
    const head = (field: number, length: number): Uint8Array =>
      new Uint8Array(words.buffer, words.byteOffset + at * 4 + field, length);
    const request = httpHeads.request(head(layout.request, word(layout.requestLength)));
    const answer = httpHeads.answer(head(layout.answer, word(layout.answerLength)));
    if (request === undefined || answer === undefined) {
      unread++;
      return;
    }
    onExchange({
      pid: word(layout.pid),
      isServer: word(layout.isServer) !== 0,
      cookie: cookieOf(word(layout.cookie), word(layout.cookie + 4)),
      beganNs: u64(layout.beganNs),
      latencyNs: u64(layout.latencyNs),
      method: request.method,
      target: request.target,
      status: answer.status,
      isError: answer.isError,
    });
  };

  return {
    read: () => void ring.drain(visit),
    totals() {
      const result = access.lookup(maps.ssl_totals, key, value);
      if (result < 0) throw kernelError("reading the totals of probes on OpenSSL", result);
      const sum = (field: number): number => {
        let total = 0;
        for (let cpu = 0; cpu < cpus; cpu++)
          total += Number(value.view.getBigUint64(cpu * sslTotalsLayout.size + field, true));
        return total;
      };
      const { calls, exchanges, lost } = sslTotalsLayout;
      return { calls: sum(calls), exchanges: sum(exchanges), lost: sum(lost), unread };
    },
    close() {
      ring.close();
      key.free();
      value.free();
    },
  };
}

function cookieOf(low: number, high: number): string | null {
  if ((low | high) === 0) return null;
  return String((BigInt(high) << 32n) | BigInt(low));
}
