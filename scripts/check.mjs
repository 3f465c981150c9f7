/**
 * Everything that can be said about the sources without running them: format and lint, types of the packages and of
 * the tests, unused and undeclared things, and what the packages would publish. All checks run, then the first
 * failure decides; each says one line, and its own output where it fails.
 */
import { spawn } from "node:child_process";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { workspacesOf } from "./setup/install.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const env = { ...process.env, PATH: [join(root, "node_modules", ".bin"), process.env.PATH].join(delimiter) };

const colors = process.stdout.isTTY ? [] : ["--colors=off"];

/** @returns whether it exited 0 */
function check(name, command, ...args) {
  const started = performance.now();
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
    const output = [];
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => output.push(chunk));
    child.on("error", (error) => output.push(Buffer.from(`${error.message}\n`)));
    child.on("close", (code) => {
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      process.stdout.write(`${code === 0 ? "ok    " : "FAILED"}  ${name.padEnd(26)} ${seconds} s\n`);
      if (code !== 0) process.stdout.write(Buffer.concat(output));
      resolve(code === 0);
    });
  });
}

const sources = [
  check("format and lint", "biome", "ci", "--error-on-warnings", ...colors),
  check("unused and undeclared", "knip", "--no-config-hints"),
  check("types of the tests", "tsc", "-p", "tsconfig.tests.json"),
];
const compiled = await check("types of the packages", "tsc", "-b");
const outcomes = [compiled, ...(await Promise.all(sources))];
const lint = (workspace) =>
  check(`publish ${workspace}`, "publint", "run", workspace, "--strict", "--pack", "npm");
if (compiled) outcomes.push(...(await Promise.all(workspacesOf(root).map(lint))));
process.exitCode = outcomes.every(Boolean) ? 0 : 1;
