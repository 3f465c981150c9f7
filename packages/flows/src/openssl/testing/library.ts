/** The system's libssl in a folder of its own, for the tests of probes. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

export interface LibraryFolder extends Disposable {
  readonly folder: string;
  /** The file is gone for all who have not mapped it. */
  remove(): void;
  /** The folder's file system is gone, likewise. */
  unmount(): void;
}

/** A copy of what Python's ssl is linked with, on a file system of its own. */
export function libraryFolder(): LibraryFolder {
  const source = execFileSync("python3", ["-c", "import ssl; print(open('/proc/self/maps').read())"], {
    encoding: "utf8",
  })
    .split("\n")
    .map((line) => /\S*\/libssl[-.]\S*$/.exec(line)?.[0])
    .find((path) => path !== undefined);
  if (source === undefined) throw new Error("Python's ssl has no libssl mapped");
  const folder = mkdtempSync(join(tmpdir(), "x0-libssl-"));
  execFileSync("mount", ["-t", "tmpfs", "x0-libssl", folder]);
  const file = join(folder, basename(source));
  copyFileSync(source, file);
  let isMounted = true;
  const unmount = (): void => {
    if (isMounted) execFileSync("umount", ["--lazy", folder]);
    isMounted = false;
  };
  return {
    folder,
    remove: () => rmSync(file),
    unmount,
    [Symbol.dispose]() {
      unmount();
      rmSync(folder, { recursive: true });
    },
  };
}
