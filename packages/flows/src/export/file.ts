/**
 * A file of lines that grows to a size and then makes room: FILE becomes FILE.1, that FILE.2, and the oldest is
 * replaced. Each step is one rename, so that no moment lacks a line. A full disk or a folder that is gone is waited
 * for; a line that was half written is taken back.
 */
import { constants } from "node:fs";
import { type FileHandle, open, rename, stat } from "node:fs/promises";
import { messageOf } from "@x0tta6bl4/core";
import type { Chunk, Destination, Outcome } from "@x0tta6bl4/telemetry";

const NEWLINE = 0x0a;
/** Flows tell who speaks to whom: not for everyone. */
const MODE = 0o640;

export interface FileOptions {
  readonly path: string;
  /** A file is not begun anew before it holds a chunk, so a chunk larger than this is a file of its own. */
  readonly maxSizeBytes: number;
  /** How many are kept beside the one that is written; 0 keeps none. */
  readonly maxFiles: number;
}

interface OpenFile {
  readonly handle: FileHandle;
  readonly inode: number;
  /** Up to here whole lines. */
  size: number;
}

export function fileDestination({ path, maxSizeBytes, maxFiles }: FileOptions): Destination<Chunk> {
  let current: OpenFile | undefined;

  const close = async (): Promise<void> => {
    const file = current;
    current = undefined;
    await file?.handle.close();
  };
  const ready = async (bytes: number): Promise<OpenFile> => {
    if (current !== undefined && (await isMoved(path, current.inode))) await close();
    current ??= await openLines(path);
    if (current.size === 0 || current.size + bytes <= maxSizeBytes) return current;
    await close();
    await rotate(path, maxFiles);
    current = await openLines(path);
    return current;
  };
  return {
    async deliver({ bytes }): Promise<Outcome> {
      try {
        const file = await ready(bytes.length);
        try {
          await writeAll(file.handle, bytes, file.size);
        } catch (error) {
          await file.handle.truncate(file.size);
          throw error;
        }
        file.size += bytes.length;
        return { kind: "delivered" };
      } catch (error) {
        // The folder may be mounted later, the disk emptied: begin from the path again.
        await close().catch(() => {});
        return { kind: "away", problem: messageOf(error) };
      }
    },
    // All was written; what closing a file could still say comes too late.
    close: () => close().catch(() => {}),
  };
}

/** Whether somebody, logrotate perhaps, moved or removed the file that is open. */
async function isMoved(path: string, inode: number): Promise<boolean> {
  try {
    return (await stat(path)).ino !== inode;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return true;
    throw error;
  }
}

/** Opens for writing behind what is there; a line that a killed writer left unfinished gets its end. */
async function openLines(path: string): Promise<OpenFile> {
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, MODE);
  try {
    const found = await handle.stat();
    if (!found.isFile()) throw new Error(`${path} is not a regular file`);
    const { ino: inode, size } = found;
    if (size === 0) return { handle, inode, size };
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
    if (buffer[0] === NEWLINE) return { handle, inode, size };
    await writeAll(handle, Uint8Array.of(NEWLINE), size);
    return { handle, inode, size: size + 1 };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}

async function rotate(path: string, maxFiles: number): Promise<void> {
  if (maxFiles === 0) {
    // Replaced by an empty one in a single step too.
    await (await open(`${path}.new`, "w", MODE)).close();
    await rename(`${path}.new`, path);
    return;
  }
  for (let number = maxFiles; number >= 1; number--) {
    const from = number === 1 ? path : `${path}.${number - 1}`;
    await rename(from, `${path}.${number}`).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
  }
}
