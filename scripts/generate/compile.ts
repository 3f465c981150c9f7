/** From C sources to one linked object. The compilers are pinned, since another clang writes other bytes. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const clang = "clang-14";

/** @param root the folder of the sources @returns the ELF file */
export function compile(root: string, sources: readonly string[]): Uint8Array {
  const scratch = mkdtempSync(join(tmpdir(), "x0-generate-"));
  try {
    const parts = sources.map((source, index) => {
      const out = join(scratch, `${index}.o`);
      const include = `-I/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
      const flags = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror", "-I.", include];
      execFileSync(clang, [...flags, `-ffile-prefix-map=${root}=.`, "-c", source, "-o", out], { cwd: root });
      return out;
    });
    const linked = join(scratch, "linked.o");
    execFileSync("bpftool", ["gen", "object", linked, ...parts]);
    return readFileSync(linked);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}
