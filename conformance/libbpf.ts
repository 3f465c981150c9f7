/**
 * Our linker and loader against libbpf, as bpftool has it: both load the same objects, and what the kernel then has
 * of each program is the same, instruction by instruction, with its functions, source lines, CO-RE relocations and
 * maps.
 */
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openLibc } from "@x0tta6bl4/flows";
import { programInfo } from "../packages/flows/src/kernel/bpf.ts";
import { loadObject, NOT_LOADED } from "../packages/flows/src/kernel/load.ts";
import { decodeObject } from "../packages/flows/src/kernel/object.ts";
import { clang, compile } from "../scripts/generate/compile.ts";
import { objects } from "../scripts/generate/objects.ts";
import { isInstalled, missingKernel, run as runCommand } from "../test/lab/index.ts";
import type { ConformanceResult } from "./lib/conformance.ts";

const flows = fileURLToPath(new URL("../packages/flows", import.meta.url));

export async function run(): Promise<ConformanceResult> {
  const lack = await missingKernel("bpf", "btf", "mount");
  if (lack !== undefined) return { outcome: "skipped", reason: lack };
  for (const tool of [clang, "bpftool"])
    if (!(await isInstalled(tool))) return { outcome: "skipped", reason: `${tool} is not installed` };
  const folder = await mkdtemp(join(tmpdir(), "x0-libbpf-"));
  const pins = join(folder, "pins");
  await mkdir(pins);
  await runCommand(["mount", "-t", "bpf", "none", pins]);
  try {
    let compared = 0;
    for (const { blob, sources } of objects) {
      const outcome = await compareObject(folder, pins, blob, sources);
      if (typeof outcome === "string") return { outcome: "failed", reason: `${blob}: ${outcome}` };
      compared += outcome;
    }
    if (compared === 0) return { outcome: "failed", reason: "no object has all that it attaches to" };
    return { outcome: "passed", reason: `${compared} programs` };
  } finally {
    await runCommand(["umount", pins]);
    await rm(folder, { recursive: true });
  }
}

/** @returns how many programs are the same, or what differs. */
async function compareObject(
  folder: string,
  pins: string,
  blob: string,
  sources: readonly string[],
): Promise<number | string> {
  const libc = openLibc();
  const loaded = loadObject(libc, decodeObject(readFileSync(join(flows, blob))));
  try {
    const programs = Object.entries(loaded.programs);
    // libbpf then loads nothing of it.
    if (programs.some(([, program]) => program === NOT_LOADED)) return 0;
    const name = blob.replace(/\W/g, "_");
    const elf = join(folder, `${name}.o`);
    await writeFile(elf, compile(join(flows, "bpf"), sources));
    await runCommand(["bpftool", "prog", "loadall", elf, join(pins, name)]);
    for (const [program, fd] of programs) {
      const ours = await described(["id", String(programInfo(libc, fd).id)]);
      const theirs = await described(["pinned", join(pins, name, program)]);
      const at = ours.findIndex((line, index) => line !== theirs[index]);
      if (at >= 0 || ours.length !== theirs.length)
        return `${program}: ours has "${ours.at(at)}", libbpf's "${theirs.at(at)}"`;
    }
    return programs.length;
  } finally {
    loaded.close();
  }
}

interface MapShown {
  readonly id: number;
  readonly name: string;
  readonly type: string;
  readonly flags: number;
  readonly bytes_key: number;
  readonly bytes_value: number;
  readonly max_entries: number;
}

/** A program as the kernel has it, line by line, without the numbers of this load. */
async function described(program: readonly string[]): Promise<string[]> {
  const { stdout: dump } = await runCommand(["bpftool", "prog", "dump", "xlated", ...program, "linum"]);
  const { stdout } = await runCommand(["bpftool", "-j", "prog", "show", ...program]);
  const shown = JSON.parse(stdout) as Record<string, unknown> & { readonly map_ids?: readonly number[] };
  const maps = new Map<number, string>();
  for (const map of shown.map_ids ?? []) {
    const { stdout: text } = await runCommand(["bpftool", "-j", "map", "show", "id", String(map)]);
    const { id, name, type, flags, bytes_key, bytes_value, max_entries } = JSON.parse(text) as MapShown;
    maps.set(id, JSON.stringify({ name, type, flags, bytes_key, bytes_value, max_entries }));
  }
  const head = ["type", "name", "gpl_compatible", "bytes_xlated"].map((field) => `${field} ${shown[field]}`);
  const code = dump
    .replaceAll(/map\[id:(\d+)\]/g, (_, id: string) => `${maps.get(Number(id))}`)
    .replaceAll(/bpf_prog_[0-9a-f]+/g, "bpf_prog");
  return [...head, ...code.split("\n")];
}
