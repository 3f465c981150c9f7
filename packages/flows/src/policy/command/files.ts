import { createReadStream } from "node:fs";
import { type CliContext, messageOf } from "@x0tta6bl4/core";
import { flowsFail } from "../../errors.ts";
import type { PolicyText } from "../documents.ts";
import { APPLY_BYTES } from "../schema.ts";

/** @param paths `-` is standard input. @throws X0_FLOWS_POLICY_UNREADABLE */
export async function readFiles(context: CliContext, paths: readonly string[]): Promise<PolicyText[]> {
  const texts: PolicyText[] = [];
  let left = APPLY_BYTES;
  for (const path of paths) {
    const text = await readText(path === "-" ? context.stdin : createReadStream(path), path, left);
    left -= Buffer.byteLength(text);
    texts.push({ name: path === "-" ? "standard input" : path, text });
  }
  return texts;
}

async function readText(stream: AsyncIterable<unknown>, path: string, most: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream) {
      const bytes = Buffer.from(chunk as Buffer | string);
      size += bytes.length;
      if (size > most)
        throw flowsFail(
          "X0_FLOWS_POLICY_UNREADABLE",
          `${path} is too large: more than ${most} bytes are left`,
          {
            hint: "apply fewer files at once",
          },
        );
      chunks.push(bytes);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code?.startsWith("X0_") === true) throw error;
    const { why, hint } = reasons[code ?? ""] ?? {
      why: `cannot be read: ${messageOf(error)}`,
      hint: "check the path and its permissions",
    };
    throw flowsFail("X0_FLOWS_POLICY_UNREADABLE", `${path} ${why}`, { hint, cause: error });
  }
  return decoded(Buffer.concat(chunks), path);
}

/** What happens most, in words. */
const reasons: Readonly<Record<string, { readonly why: string; readonly hint: string }>> = {
  EISDIR: { why: "is a directory", hint: "name the files in it" },
  ENOENT: { why: "does not exist", hint: "check the path" },
};

function decoded(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw flowsFail("X0_FLOWS_POLICY_UNREADABLE", `${path} is not UTF-8`, {
      hint: "save it as UTF-8",
      cause: error,
    });
  }
}
