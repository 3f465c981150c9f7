import { once } from "node:events";
import type { ServerResponse } from "node:http";

export interface BytesOptions {
  /** Aborted when the client is gone or the agent stops. */
  readonly signal: AbortSignal;
  onFailure(error: unknown): void;
}

/**
 * Writes what the source gives, no faster than the client reads. Where the source fails the connection breaks off, so
 * that the client does not take the part for the whole.
 */
export async function sendBytes(
  response: ServerResponse,
  source: AsyncIterable<Uint8Array>,
  { signal, onFailure }: BytesOptions,
): Promise<void> {
  try {
    for await (const chunk of source)
      if (!response.write(chunk)) {
        if (signal.aborted) break;
        await once(response, "drain", { signal });
      }
    response.end();
  } catch (error) {
    if (!signal.aborted) onFailure(error);
    response.destroy();
  }
}
