/**
 * Compiles the BPF programs and writes what the product loads: one file an object, linked so far that loading takes
 * a few system calls, and the layout of the shared structs, taken from the object's BTF. Everything written is
 * committed.
 *
 * `npm run generate` writes; `--check` compares instead and exits 1 on a difference (CI). Needs no privilege.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readBtf } from "./generate/btf.ts";
import { compile } from "./generate/compile.ts";
import { readElf } from "./generate/elf.ts";
import { encodeObject } from "./generate/encode.ts";
import { writeLayout } from "./generate/layout.ts";
import { linkObject } from "./generate/link.ts";
import { objects } from "./generate/objects.ts";

const folder = join(import.meta.dirname, "../packages/flows");

const check = process.argv.includes("--check");
let differing = 0;
function put(path: string, content: Uint8Array): void {
  const file = join(folder, path);
  if (!check) {
    writeFileSync(file, content);
    return;
  }
  let same = false;
  try {
    same = readFileSync(file).equals(content);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  if (same) return;
  differing++;
  process.stderr.write(`packages/flows/${path} differs from its sources: npm run generate\n`);
}

for (const { sources, blob, layout, structs } of objects) {
  const root = join(folder, "bpf");
  const elf = readElf(compile(root, sources));
  const btf = readBtf(elf.section(".BTF").view);
  const object = linkObject(elf, btf);
  put(blob, encodeObject(object));
  const header = structs === undefined ? undefined : readFileSync(join(root, structs), "utf8");
  put(layout, Buffer.from(writeLayout(object, btf, header)));
}
process.exitCode = differing === 0 ? 0 : 1;
