import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { extname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export interface ConsoleFile {
  readonly type: string;
  readonly etag: string;
  readonly body: Buffer;
}

export interface ConsoleFiles {
  /** @param path of the URL; `/` and the names of pages are the page. Undefined where no such file is. */
  find(path: string): Promise<ConsoleFile | undefined>;
}

const types: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** One page serves them all; which it shows is in its address. */
const pages: ReadonlySet<string> = new Set(["/", "/flows", "/policy"]);

/** The console's built files, read at the first request and kept: a request never becomes a path of the disk. */
export function consoleFilesIn(directory: URL): ConsoleFiles {
  let files: Promise<ReadonlyMap<string, ConsoleFile>> | undefined;
  return {
    async find(path) {
      files ??= readAll(fileURLToPath(directory));
      const known = await files;
      // Not built yet: look again next time.
      if (known.size === 0) files = undefined;
      return known.get(pages.has(path) ? "/index.html" : path);
    },
  };
}

async function readAll(directory: string): Promise<ReadonlyMap<string, ConsoleFile>> {
  const files = new Map<string, ConsoleFile>();
  for (const path of await list(directory)) {
    const type = types[extname(path)];
    if (type === undefined) continue;
    const body = await readFile(path);
    const etag = `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`;
    files.set(`/${relative(directory, path)}`, { type, etag, body });
  }
  return files;
}

async function list(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
