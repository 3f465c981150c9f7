import type { FlowChange, FlowEvent, Totals } from "./shapes.ts";

/** Why the node did not answer as asked; `status` 0 when it did not answer at all. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly hint: string | null;

  constructor(status: number, code: string, message: string, hint: string | null = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
  }
}

/** @throws ApiError */
export function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return ask(path, {}, signal);
}

/** The browser says where the page comes from, and sends the cookie along. @throws ApiError */
export function postJson<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const headers = { "content-type": "application/json" };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body) }, signal);
}

async function ask<T>(path: string, init: RequestInit, signal: AbortSignal | undefined): Promise<T> {
  let response: Response;
  try {
    const headers = { accept: "application/json", ...init.headers };
    response = await fetch(path, { ...init, headers, signal: signal ?? null });
  } catch (error) {
    signal?.throwIfAborted();
    throw new ApiError(0, "", error instanceof Error ? error.message : String(error));
  }
  const body = await response.json().catch(() => undefined);
  if (response.ok && body !== undefined) return body as T;
  const { code = "", message, hint = null } = body?.error ?? {};
  throw new ApiError(response.status, code, message ?? `${response.status} ${response.statusText}`, hint);
}

export interface Listener {
  open(): void;
  flow(change: FlowChange): void;
  totals(totals: Totals): void;
  /** DNS, a request, a drop or a scan. */
  insight(event: FlowEvent): void;
  /** The node or this browser was too slow: changes are missing. */
  lost(): void;
  /** The stream broke or never opened; it will not come back by itself. */
  down(): void;
}

/** Listens to the node's live stream until the returned function is called or the stream breaks. */
export function listen(path: string, listener: Listener): () => void {
  const source = new EventSource(path);
  source.addEventListener("open", () => listener.open());
  source.addEventListener("flow", (event) => listener.flow(JSON.parse(event.data)));
  source.addEventListener("totals", (event) => listener.totals(JSON.parse(event.data)));
  source.addEventListener("insight", (event) => listener.insight(JSON.parse(event.data)));
  for (const name of ["lost", "dropped"]) source.addEventListener(name, () => listener.lost());
  source.addEventListener("error", () => {
    // Reconnecting is ours: what changed meanwhile must be listed anew, and the reason be asked for.
    source.close();
    listener.down();
  });
  return () => source.close();
}
