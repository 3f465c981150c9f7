import { readFileSync } from "node:fs";
import { arch, availableParallelism, cpus, release, totalmem, type } from "node:os";

/** One line on what the figures were measured on. */
export function machineLine(): string {
  const model = cpus()[0]?.model.trim() || arch();
  const memoryGiB = Math.round(totalmem() / 2 ** 30);
  return `${model}, ${availableParallelism()} cpus, ${memoryGiB} GiB, ${type()} ${release()} ${arch()}`;
}

/** Versions that decide a figure: ours, Node's, its engine's. */
export function versionLine(): string {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    readonly version: string;
  };
  return `x0tta6bl4 ${manifest.version}, node ${process.versions.node}, v8 ${process.versions.v8}`;
}
