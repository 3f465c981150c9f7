/**
 * Builds the console's pages into dist/site. Assets carry their content's hash in the name and index.html is
 * renamed into place last, so a running node always serves a page whose files all exist.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const site = join(here, "dist/site");

async function place(name, content) {
  const temporary = join(site, `.${process.pid}-${name}`);
  await writeFile(temporary, content);
  await rename(temporary, join(site, name));
}

const result = await build({
  absWorkingDir: here,
  entryPoints: [{ in: "src/app/main.tsx", out: "app" }],
  outdir: "dist/site",
  entryNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  format: "esm",
  target: ["chrome120", "firefox121", "safari17"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  logLevel: "warning",
  write: false,
}).catch(() => process.exit(1)); // esbuild has printed what is wrong, and where

await mkdir(site, { recursive: true });
const built = new Map(result.outputFiles.map((file) => [file.path.slice(site.length + 1), file.contents]));
built.set("favicon.svg", await readFile(join(here, "src/app/favicon.svg")));
const named = (extension) => [...built.keys()].find((name) => name.endsWith(extension));
const page = (await readFile(join(here, "src/app/index.html"), "utf8"))
  .replace("main.css", named(".css"))
  .replace("main.tsx", named(".js"));

for (const [name, content] of built) await place(name, content);
await place("index.html", page);
for (const name of await readdir(site))
  if (name !== "index.html" && !built.has(name)) await rm(join(site, name), { force: true });
