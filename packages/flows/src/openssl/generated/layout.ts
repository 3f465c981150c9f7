// Written by `npm run generate` from packages/flows/bpf. Do not edit.

export const programNames = ["x0_ssl_received","x0_ssl_write","x0_ssl_read","x0_ssl_read_ex","x0_ssl_free","x0_ssl_read_done"] as const;
export const mapNames = ["named","received","calls","turns","exchanges","ssl_totals"] as const;

export const sslExchangeLayout = {
  size: 232,
  beganNs: 0,
  latencyNs: 8,
  cookie: 16,
  pid: 24,
  isServer: 28,
  requestLength: 32,
  answerLength: 36,
  request: 40,
  answer: 168,
} as const;

export const sslTotalsLayout = {
  size: 24,
  calls: 0,
  exchanges: 8,
  lost: 16,
} as const;
