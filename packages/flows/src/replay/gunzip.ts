import { once } from "node:events";
import { createGunzip } from "node:zlib";
import { flowsFail } from "../errors.ts";

/** Input is inflated in pieces, so that one piece of a bomb (1,032 : 1 at most) stays near 16 MiB. */
const pieceBytes = 16_384;

/**
 * Inflates a gzip stream. An error comes only after everything that was inflated before it, which a `Readable`
 * would have thrown away.
 * @throws X0_FLOWS_CAPTURE_TRUNCATED, X0_FLOWS_CAPTURE_CORRUPT
 */
export async function* gunzip(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const inflate = createGunzip();
  let inflated: Uint8Array[] = [];
  let consumed = 0;
  inflate.on("data", (chunk: Uint8Array) => inflated.push(chunk));
  const failed = new Promise<never>((_, reject) => inflate.once("error", reject));
  // It is met where it is raced; after that it must not be unhandled.
  failed.catch(() => {});
  try {
    for await (const chunk of chunks)
      for (let at = 0; at < chunk.length; at += pieceBytes) {
        const piece = chunk.subarray(at, at + pieceBytes);
        const written = new Promise<unknown>((resolve) => inflate.write(piece, resolve));
        await Promise.race([written, failed]).catch((error: unknown) => {
          throw flowsFail("X0_FLOWS_CAPTURE_CORRUPT", `the gzip stream is corrupt near byte ${consumed}`, {
            hint: "what came before was read; copy the file again",
            cause: error,
          });
        });
        consumed += piece.length;
        yield* inflated;
        inflated = [];
      }
    const ended = inflate.readableEnded ? undefined : once(inflate, "end");
    inflate.end();
    await ended?.catch((error: unknown) => {
      throw flowsFail(
        "X0_FLOWS_CAPTURE_TRUNCATED",
        `the gzip stream ends at byte ${consumed}, before its end mark`,
        {
          hint: "what came before is complete; copy the file again",
          cause: error,
        },
      );
    });
    yield* inflated;
  } finally {
    inflate.destroy();
  }
}
