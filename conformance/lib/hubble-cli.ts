/**
 * The real `hubble` command, built from its published module. Its own module has replace directives, which `go install`
 * refuses, so a module of ours requires it. The build takes some minutes and is kept in the user's cache folder.
 */
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "@x0tta6bl4/core";
import { isInstalled, run } from "../../test/lab/index.ts";

export const HUBBLE_VERSION = "v1.20.2";
/** What that version of Cilium asks for. */
const GO_VERSION = "1.26.0";

export type Found = { readonly path: string } | { readonly lack: string };

export async function hubbleCli({ mayBuild }: { readonly mayBuild: boolean }): Promise<Found> {
  const folder = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "x0tta6bl4");
  const path = join(folder, `hubble-${HUBBLE_VERSION}`);
  if (existsSync(path)) return { path };
  if (!mayBuild) return { lack: `${path} is not built yet: npm run conformance -- hubble builds it` };
  if (!(await isInstalled("go"))) return { lack: "go is not installed (Debian: golang-go)" };
  await mkdir(folder, { recursive: true });
  const work = await mkdtemp(join(tmpdir(), "x0-hubble-"));
  try {
    process.stderr.write(`hubble: building ${HUBBLE_VERSION} once, for ${path}; some minutes\n`);
    await build(work);
    await rename(join(work, "hubble"), path).catch(() => run(["mv", join(work, "hubble"), path]));
    return { path };
  } catch (error) {
    return { lack: `hubble could not be built: ${messageOf(error)}` };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function build(work: string): Promise<void> {
  const files = {
    "go.mod": `module hubble\n\ngo ${GO_VERSION}\n\nrequire github.com/cilium/cilium ${HUBBLE_VERSION}\n`,
    "hubble.go": '//go:build tools\n\npackage tools\n\nimport _ "github.com/cilium/cilium/hubble"\n',
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(work, name), text);
  const go = await goCommand(work);
  // Beside whatever else this machine does.
  const flags = ["-mod=mod", "-trimpath", "-ldflags=-s -w"];
  await run(["nice", go, "-C", work, "build", ...flags, "-o", "hubble", "github.com/cilium/cilium/hubble"], {
    environment: { GOTOOLCHAIN: "local" },
  });
}

/** The installed one where it is new enough, else the toolchain that is published as a module. */
async function goCommand(work: string): Promise<string> {
  const { stdout } = await run(["go", "version"]);
  const [, major = 0, minor = 0] = (/go(\d+)\.(\d+)/.exec(stdout) ?? []).map(Number);
  const wanted = Number(GO_VERSION.split(".")[1]);
  if (major > 1 || minor >= wanted) return "go";
  const arch = process.arch === "x64" ? "amd64" : process.arch;
  const download = join(work, "toolchain");
  await mkdir(download);
  await writeFile(join(download, "go.mod"), "module toolchain\n");
  const module = `golang.org/toolchain@v0.0.1-go${GO_VERSION}.linux-${arch}`;
  const { stdout: json } = await run([
    "sh",
    "-c",
    'cd "$1" && go mod download -json "$2"',
    "sh",
    download,
    module,
  ]);
  const { Dir } = JSON.parse(json) as { readonly Dir: string };
  // Modules carry no file modes.
  for (const folder of [join(Dir, "bin"), join(Dir, "pkg", "tool", `linux_${arch}`)])
    for (const name of await readdir(folder)) await chmod(join(folder, name), 0o755);
  return join(Dir, "bin", "go");
}
