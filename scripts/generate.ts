/**
 * Compiles the BPF programs and writes what the product loads: one light-skeleton blob an object, and the
 * layout of the shared structs, taken from the object's BTF. Everything written is committed.
 *
 * `npm run generate` writes; `--check` compares instead and exits 1 on a difference (CI). The compilers are
 * pinned, since another clang writes other bytes. Needs no privilege.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const clang = "clang-14";
const folder = join(import.meta.dirname, "../packages/flows");

interface BpfObject {
  readonly name: string;
  /** Relative to packages/flows/bpf. */
  readonly sources: readonly string[];
  readonly blob: string;
  readonly layout: string;
  /** The header in packages/flows/bpf whose structs and enumerations the layout also holds. */
  readonly structs?: string;
}

const objects: readonly BpfObject[] = [
  {
    name: "x0",
    sources: ["count.bpf.c", "sockets.bpf.c", "tasks.bpf.c", "drops.bpf.c", "use.bpf.c"],
    blob: "bpf/x0.blob",
    layout: "src/generated/layout.ts",
    structs: "types.h",
  },
  {
    // For kernels before 6.3: a program whose tracepoint is missing keeps the whole object from loading.
    name: "x0_older",
    sources: ["count.bpf.c", "sockets.bpf.c", "tasks.bpf.c", "drops.bpf.c"],
    blob: "bpf/older.blob",
    layout: "src/generated/older-layout.ts",
  },
  {
    name: "x0_packets",
    sources: ["packets.bpf.c"],
    blob: "bpf/packets.blob",
    layout: "src/packets/generated/layout.ts",
    structs: "packets.h",
  },
  {
    name: "x0_openssl",
    sources: ["openssl.bpf.c"],
    blob: "bpf/openssl.blob",
    layout: "src/openssl/generated/layout.ts",
    structs: "openssl.h",
  },
  {
    name: "x0_bench",
    sources: ["testing/bench.bpf.c"],
    blob: "bpf/testing/bench.blob",
    layout: "src/testing/generated/bench-layout.ts",
  },
];

function compile(object: BpfObject, scratch: string): { skeleton: string; btf: BtfType[] } {
  const root = join(folder, "bpf");
  const parts = object.sources.map((source, index) => {
    const out = join(scratch, `${object.name}-${index}.o`);
    const include = `-I/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
    const flags = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror", "-I.", include];
    execFileSync(clang, [...flags, `-ffile-prefix-map=${root}=.`, "-c", source, "-o", out], { cwd: root });
    return out;
  });
  // The skeleton's bytes contain the object's file name.
  const linked = join(scratch, `${object.name}.o`);
  execFileSync("bpftool", ["gen", "object", linked, ...parts]);
  const run = (args: string[]): string =>
    execFileSync("bpftool", args, { cwd: scratch, encoding: "latin1", maxBuffer: 1 << 26 });
  const skeleton = run(["gen", "skeleton", "-L", `${object.name}.o`, "name", object.name]);
  return { skeleton, btf: JSON.parse(run(["btf", "dump", "file", `${object.name}.o`, "-j"])).types };
}

/** `MAX_USED_PROGS` of libbpf's gen_loader.c, which counts functions too and reads behind its stack beyond it. */
const MOST_FUNCTIONS = 32;

interface Skeleton {
  readonly maps: string[];
  readonly programs: string[];
  readonly data: Uint8Array;
  readonly instructions: Uint8Array;
}

/** Reads what `bpftool gen skeleton -L` wrote: names in order, and the two C string literals. */
function parseSkeleton(text: string): Skeleton {
  const names = (pattern: RegExp): string[] => [...text.matchAll(pattern)].map((match) => match[1] as string);
  const literals = [...text.matchAll(/opts\.(data|insns) = \(void \*\)"\\\n([\s\S]*?)";/g)];
  const literal = (name: string): Uint8Array => {
    const found = literals.find((match) => match[1] === name);
    if (found === undefined) throw new Error(`no opts.${name} in the skeleton`);
    return unescapeC((found[2] as string).replaceAll("\\\n", ""));
  };
  if (/bpf_map_desc rodata|bpf_map_desc bss|bpf_map_desc data/.test(text))
    throw new Error("global data is not supported by the loader: use a map");
  return {
    maps: names(/struct bpf_map_desc (\w+);/g),
    programs: names(/struct bpf_prog_desc (\w+);/g),
    data: literal("data"),
    instructions: literal("insns"),
  };
}

function unescapeC(text: string): Uint8Array {
  const simple: Readonly<Record<string, number>> = { n: 10, t: 9, r: 13, v: 11, f: 12, a: 7, b: 8 };
  const bytes: number[] = [];
  for (const match of text.matchAll(/\\x([0-9a-f]{2})|\\([0-7]{1,3})|\\(.)|([^\\])/gs)) {
    if (match[1] !== undefined) bytes.push(Number.parseInt(match[1], 16));
    else if (match[2] !== undefined) bytes.push(Number.parseInt(match[2], 8));
    else if (match[3] !== undefined) bytes.push(simple[match[3]] ?? match[3].charCodeAt(0));
    else bytes.push((match[4] as string).charCodeAt(0));
  }
  return Uint8Array.from(bytes);
}

interface BtfType {
  readonly kind: string;
  readonly name: string;
  readonly size: number;
  readonly members?: readonly { readonly name: string; readonly bits_offset: number }[];
}

/** @param structs the header whose structs and enumerations follow, in its order. */
function writeLayout(skeleton: Skeleton, btf: readonly BtfType[], structs: string | undefined): string {
  const lines = [
    "// Written by `npm run generate` from packages/flows/bpf. Do not edit.",
    "",
    `export const programNames = ${JSON.stringify(skeleton.programs)} as const;`,
    `export const mapNames = ${JSON.stringify(skeleton.maps)} as const;`,
    `export const blobSections = { dataBytes: ${skeleton.data.length}, instructionBytes: ${skeleton.instructions.length} } as const;`,
  ];
  if (structs === undefined) return `${lines.join("\n")}\n`;
  const header = readFileSync(join(folder, "bpf", structs), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
  for (const [, kind, name, body] of header.matchAll(/(struct|enum) (\w+) \{([\s\S]*?)\n\};/g)) {
    const fields = kind === "struct" ? offsets(btf, name as string) : constants(body as string);
    if (fields === undefined) continue;
    lines.push("", `export const ${camel(name as string)}${kind === "struct" ? "Layout" : ""} = {`);
    for (const [key, value] of fields) lines.push(`  ${key}: ${value},`);
    lines.push("} as const;");
  }
  return `${lines.join("\n")}\n`;
}

function offsets(btf: readonly BtfType[], name: string): [string, number][] | undefined {
  const type = btf.find((candidate) => candidate.kind === "STRUCT" && candidate.name === name);
  if (type === undefined) return undefined;
  const members = (type.members ?? []).filter((member) => !member.name.startsWith("pad"));
  return [["size", type.size], ...members.map((m): [string, number] => [camel(m.name), m.bits_offset / 8])];
}

function constants(body: string): [string, number][] {
  let next = 0;
  const entries = body.split(",").filter((entry) => entry.trim() !== "");
  return entries.map((entry) => {
    const match = /^\s*\w+?_(\w+)\s*(?:=\s*(?:(\d+) << (\d+)|(\d+)))?\s*$/.exec(entry);
    if (match === null) throw new Error(`not a constant: ${entry.trim()}`);
    if (match[2] !== undefined) next = Number(match[2]) << Number(match[3]);
    else if (match[4] !== undefined) next = Number(match[4]);
    return [camel((match[1] as string).toLowerCase()), next++];
  });
}

function camel(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

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

const scratch = mkdtempSync(join(tmpdir(), "x0-generate-"));
try {
  for (const object of objects) {
    const { skeleton: text, btf } = compile(object, scratch);
    const functions = btf.filter(({ kind }) => kind === "FUNC").length;
    if (functions > MOST_FUNCTIONS)
      throw new Error(`${object.name} has ${functions} functions, a light skeleton loads ${MOST_FUNCTIONS}`);
    const skeleton = parseSkeleton(text);
    put(object.blob, Buffer.concat([skeleton.data, skeleton.instructions]));
    put(object.layout, Buffer.from(writeLayout(skeleton, btf, object.structs)));
  }
} finally {
  rmSync(scratch, { recursive: true });
}
process.exitCode = differing === 0 ? 0 : 1;
