import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export interface Publication {
  readonly name: string;
  readonly version: string;
  readonly manifest?: Readonly<Record<string, unknown>>;
  /** Path in the package → content; `bin/…` becomes executable. */
  readonly files: Readonly<Record<string, string>>;
}

/** A small package registry on loopback: what npm needs of the protocol, and no more. */
export interface Registry extends AsyncDisposable {
  readonly url: string;
  /** @returns the integrity that a lockfile pins. */
  publish(publication: Publication): string;
  /** Paths of all requests so far. */
  readonly requests: readonly string[];
  /** From now on requests are received but not answered; resolves at the first one. */
  stall(): Promise<void>;
  /** Goes away, or comes back at the same address. */
  close(): Promise<void>;
  open(): Promise<void>;
}

export async function startRegistry(): Promise<Registry> {
  const versions = new Map<string, Record<string, unknown>>();
  const tarballs = new Map<string, Buffer>();
  const requests: string[] = [];
  let stalled: (() => void) | undefined;
  let port = 0;
  let server: Server;
  const open = async (): Promise<void> => {
    server = createServer((request, response) => {
      const path = decodeURIComponent(request.url ?? "/");
      requests.push(path);
      if (stalled !== undefined) return stalled();
      const tarball = tarballs.get(path);
      const known = versions.get(path.slice(1));
      if (tarball !== undefined) response.end(tarball);
      else if (known === undefined) response.writeHead(404).end("{}");
      else {
        response.setHeader("content-type", "application/json");
        // Cacheable, as public registries answer: npm may hold a list that lacks the newest version.
        response.setHeader("cache-control", "public, max-age=300");
        response.end(
          JSON.stringify({
            name: path.slice(1),
            "dist-tags": { latest: Object.keys(known).at(-1) },
            versions: known,
          }),
        );
      }
    });
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as AddressInfo).port;
  };
  const close = async (): Promise<void> => {
    if (!server.listening) return;
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  };
  await open();
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    requests,
    publish(publication) {
      const { name, version } = publication;
      const manifest = { name, version, ...publication.manifest };
      const tarball = pack({ "package.json": JSON.stringify(manifest), ...publication.files });
      const integrity = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
      const path = `/${name}/-/${name}-${version}.tgz`;
      tarballs.set(path, tarball);
      versions.set(name, {
        ...versions.get(name),
        [version]: { ...manifest, dist: { tarball: url + path, integrity } },
      });
      return integrity;
    },
    stall: () =>
      new Promise((resolve) => {
        stalled = resolve;
      }),
    close,
    async open() {
      stalled = undefined;
      await open();
    },
    [Symbol.asyncDispose]: close,
  };
}

function pack(files: Readonly<Record<string, string>>): Buffer {
  const folder = mkdtempSync(join(tmpdir(), "x0-pack-"));
  try {
    for (const [path, content] of Object.entries(files)) {
      const file = join(folder, "package", path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content, { mode: path.startsWith("bin/") ? 0o755 : 0o644 });
    }
    execFileSync("tar", ["-czf", "package.tgz", "package"], { cwd: folder });
    return readFileSync(join(folder, "package.tgz"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
