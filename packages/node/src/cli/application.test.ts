import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { PartEntry } from "../parts.ts";
import { startTestAgent, temporaryFolder } from "../testing/agent.ts";
import { runX0, spawnX0 } from "../testing/command.ts";
import { examplePart } from "../testing/example.ts";

const { definition } = examplePart();
const parts: readonly PartEntry[] = [
  { name: "example", summary: definition.summary, verbs: ["show", "fail"], load: async () => definition },
];

test("the help lists the parts without loading them", async () => {
  const unloadable: PartEntry = {
    name: "heavy",
    summary: "Not now.",
    verbs: ["lift"],
    load: () => Promise.reject(new Error("loaded")),
  };
  const { code, stdout } = await runX0(["--help"], [unloadable]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/heavy +Not now\./);
  expect(stdout).toContain("x0 heavy lift");
  expect(stdout).toMatch(/--data-dir +PATH/);
});

test("the help loads neither server nor schemas nor metrics", async () => {
  const { child, ended } = spawnX0(["--help"], { NODE_DEBUG: "esm" });
  const { code, stderr } = await ended();
  expect(child.exitCode).toBe(0);
  expect(code).toBe(0);
  expect(stderr).toContain("stricli");
  expect(stderr).not.toMatch(/node_modules\/(fastify|prom-client|zod|koffi|smol-toml)\//);
});

test.each([
  ["an unknown command", ["confg"], 2, "x0: unknown command confg\nhint: did you mean `config`?\n"],
  ["an unknown flag", ["doctor", "--otput=json"], 2, "x0: no flag registered for --otput"],
  ["a value that is none of the choices", ["doctor", "-o", "xml"], 2, "x0: "],
  [
    "a flag's value that cannot be read",
    ["example", "show", "--since", "soon"],
    2,
    'x0: "soon" is not a time\nhint: write',
  ],
  ["a global flag without value", ["doctor", "--data-dir"], 2, "x0: --data-dir needs a value\nhint: "],
  [
    "an unknown key",
    ["config", "show", "--set", "example.color=red"],
    2,
    "x0: unknown key example.color in --set\nhint: did you mean example.colour?",
  ],
  [
    "an unexpected error",
    ["example", "fail"],
    1,
    "x0: unexpected error: a bug\nhint: X0_DEBUG=1 shows where\n",
  ],
])("%s is one line and a hint, without a stack", async (_, argv, code, complaint) => {
  const outcome = await runX0(argv, parts);
  expect(outcome).toMatchObject({ code, stdout: "", stderr: expect.stringContaining(complaint) });
  expect(outcome.stderr).not.toMatch(/^\s+at /m);
  expect(outcome.stderr.endsWith("\n")).toBe(true);
});

test("X0_DEBUG shows the stack of an unexpected error", async () => {
  const { stderr } = await runX0(["example", "fail"], parts, { X0_DEBUG: "1" });
  expect(stderr).toMatch(/^\s+at .*example\.ts/m);
});

test("a command that needs an agent says that none runs and how to start one", async () => {
  const folder = temporaryFolder();
  expect(await runX0(["example", "show", "--data-dir", folder], parts)).toEqual({
    code: 1,
    stdout: "",
    stderr: `x0: no agent runs on ${folder}\nhint: start it: x0 up (or name its folder with --data-dir)\n`,
  });
});

test("a part's command speaks to the agent through its socket, wherever the global flags stand", async () => {
  const { agent } = await startTestAgent({ parts: [definition] });
  const { path } = agent.folder;
  for (const argv of [
    ["--data-dir", path, "example", "show"],
    ["example", `--data-dir=${path}`, "show"],
  ])
    expect(await runX0(argv, parts)).toEqual({ code: 0, stdout: '{"count":7,"since":null}\n', stderr: "" });
  expect((await runX0(["example", "show"], parts, { X0_DATA_DIR: path })).code).toBe(0);
});

test("config show says what is in force and where it came from", async () => {
  const folder = temporaryFolder();
  const file = join(folder, "x0.toml");
  writeFileSync(file, "[example]\ncolour = 'blue'\n");
  const table = await runX0(["config", "show", "--origin", "--config", file], parts);
  expect(table.stdout).toMatch(new RegExp(`^example.colour +"blue" +file ${file}$`, "m"));
  const json = await runX0(["config", "show", "--origin", "-o", "json"], parts, {
    X0_CONFIG: file,
    X0_DATA_DIR: folder,
  });
  expect(json.stdout.trim().split("\n")).toHaveLength(1);
  expect(JSON.parse(json.stdout)).toMatchObject({
    file,
    dataDirectory: folder,
    config: { example: { colour: "blue" } },
    origins: { example: { colour: `file ${file}` }, node: { listen: "default" } },
  });
});

test("doctor joins the node's checks and the parts', and fails where x0 up would", async () => {
  const folder = temporaryFolder();
  const free = ["--data-dir", folder, "--set", "node.listen=127.0.0.1:0"];
  const good = await runX0(["doctor", "-o", "json", "--set", "example.colour=blue", ...free], parts);
  expect(good.code).toBe(0);
  const { canStart, entries } = JSON.parse(good.stdout);
  expect(canStart).toBe(true);
  expect(entries).toContainEqual({
    part: "example",
    subject: "wings",
    outcome: "off",
    detail: '{"colour":"blue"}',
    hint: "grow some",
  });
  expect(entries).toContainEqual(
    expect.objectContaining({ subject: "agent", outcome: "off", hint: expect.stringContaining("x0 up") }),
  );

  const { agent, port } = await startTestAgent({ parts: [definition] });
  const running = await runX0(["doctor", "--data-dir", agent.folder.path], parts);
  expect(running).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(`runs as process ${process.pid}, on`),
  });

  const taken = await runX0(
    ["doctor", "--data-dir", folder, "--set", `node.listen=127.0.0.1:${port}`],
    parts,
  );
  expect(taken).toMatchObject({ code: 1, stderr: expect.stringContaining("x0 up cannot start: port") });
  const broken = await runX0(["doctor", "--set", "node.log_level=loud", ...free], parts);
  expect(broken).toMatchObject({ code: 1, stdout: expect.stringMatching(/^refused +node: configuration/m) });
});

/** `x0 up` on a port of its own, with nothing to say on stderr: without privilege, flows would. */
function upQuietly(folder: string): string[] {
  return ["up", "--data-dir", folder, "--set", "node.listen=127.0.0.1:0", "--set", "flows.enabled=false"];
}

test("Ctrl-C ends x0 up in good order with 130, also when it comes twice at once", async () => {
  const folder = temporaryFolder();
  const { child, printed, ended } = spawnX0(upQuietly(folder));
  await printed(/ready in \d+ ms/);
  child.kill("SIGINT");
  child.kill("SIGINT");
  const { code, stdout, stderr } = await ended();
  expect(code).toBe(130);
  expect(stdout).toMatch(/console {2}http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]{43}/);
  expect(stderr).toBe("");
  const { agent } = await startTestAgent({ dataDirectory: folder });
  expect(agent.unclean).toBeUndefined();
});

test("SIGTERM takes the same path", async () => {
  const folder = temporaryFolder();
  const { child, printed, ended } = spawnX0(["up", "--data-dir", folder, "--set", "node.listen=127.0.0.1:0"]);
  await printed(/ready in/);
  child.kill("SIGTERM");
  expect((await ended()).code).toBe(130);
});

test("a reader that leaves early is not an error", async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "data"));
  const { child, ended } = spawnX0(upQuietly(join(folder, "data")));
  child.stdout?.destroy();
  await once(child, "exit");
  const { code, stderr } = await ended();
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
});

test("x0 up complains in one line where it cannot start", async () => {
  const folder = temporaryFolder();
  await startTestAgent({ dataDirectory: folder });
  const { code, stdout, stderr } = await spawnX0(["up", "--data-dir", folder]).ended();
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/^x0: another agent runs on the data folder .*\nhint: .*\n$/);
});
