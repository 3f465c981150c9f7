/** Where a capture is written to. */
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { messageOf } from "@x0tta6bl4/core";
import { flowsFail } from "../errors.ts";

export interface Output extends AsyncDisposable {
  write(bytes: Uint8Array): Promise<void>;
}

/** A reader that goes away ends the command by its signal; until then nothing more is written. */
export function toStream(stream: NodeJS.WritableStream): Output {
  return {
    async write(bytes) {
      if (!stream.writable) return;
      try {
        if (!stream.write(bytes)) await once(stream, "drain");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EPIPE") throw error;
      }
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** Readable by its owner only: packets are what others said. @throws X0_FLOWS_PACKETS_UNWRITABLE */
export async function toFile(path: string): Promise<Output> {
  const stream = createWriteStream(path, { mode: 0o600 });
  const unwritable = (error: unknown): Error =>
    flowsFail("X0_FLOWS_PACKETS_UNWRITABLE", `${path} cannot be written: ${messageOf(error)}`, {
      hint: "choose another file with --write",
      cause: error,
    });
  try {
    await once(stream, "open");
  } catch (error) {
    throw unwritable(error);
  }
  let fault: unknown;
  stream.on("error", (error) => {
    fault = error;
  });
  return {
    async write(bytes) {
      if (fault === undefined && !stream.write(bytes))
        await once(stream, "drain").catch((error: unknown) => {
          fault = error;
        });
      if (fault !== undefined) throw unwritable(fault);
    },
    async [Symbol.asyncDispose]() {
      if (fault !== undefined) return;
      stream.end();
      await once(stream, "close");
      if (fault !== undefined) throw unwritable(fault);
    },
  };
}
