import { execFileSync } from "node:child_process";
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { type Checkout, createCheckout, outcomeOf, systemPath } from "./setup/checkout.ts";

const systemNode = Number.parseInt(
  execFileSync("node", ["-p", "process.versions.node"], { encoding: "utf8", env: { PATH: systemPath } }),
  10,
);

/** Installed and built at its `latest` version, for the tests that leave it so: npm takes seconds for that. */
let shared: Checkout | undefined;
let latest = 1;
async function installed(): Promise<Checkout> {
  if (shared === undefined) {
    shared = await createCheckout();
    await shared.start();
  }
  await shared.registry.close();
  await shared.registry.open();
  return shared;
}
const greeting = (version = latest): string => `greeting ${version}.0.0\n`;
afterAll(() => shared?.[Symbol.asyncDispose]());

test("a fresh clone starts, and a second start has nothing to do", async () => {
  shared = await createCheckout();
  const checkout = shared;
  const first = await checkout.start();
  expect(first).toMatchObject({ code: 0, stdout: "greeting 1.0.0\n" });
  expect(first.stderr).toMatch(/^install packages .* s\nbuild .* s\n$/);
  await checkout.registry.close();
  expect(await checkout.start()).toEqual({ code: 0, stdout: "greeting 1.0.0\n", stderr: "" });
});

test("x0 builds what is missing right after npm ci, and setup accepts that installation", async () => {
  await using checkout = await createCheckout();
  expect((await checkout.npm(["ci"])).code).toBe(0);
  await checkout.registry.close();
  const direct = await checkout.npm(["exec", "--no", "x0"]);
  expect(direct).toMatchObject({ code: 0, stdout: "greeting 1.0.0\n" });
  expect(direct.stderr).toMatch(/^build/);
  expect(await checkout.start()).toEqual({ code: 0, stdout: "greeting 1.0.0\n", stderr: "" });
});

test("a changed source is built, and the output of a deleted one goes", async () => {
  const checkout = await installed();
  const index = readFileSync(checkout.path("packages/words/src/index.ts"), "utf8");
  checkout.write("packages/words/src/extra.ts", "export const extra = 1;\n");
  await checkout.start();
  expect(existsSync(checkout.path("packages/words/dist/extra.js"))).toBe(true);
  rmSync(checkout.path("packages/words/src/extra.ts"));
  checkout.write("packages/words/src/index.ts", 'export const greeting = "changed";\n');
  expect(await checkout.start()).toMatchObject({ code: 0, stdout: "changed\n" });
  expect(
    readdirSync(checkout.path("packages/words/dist")).filter((name) => name.startsWith("extra")),
  ).toEqual([]);
  checkout.write("packages/words/src/index.ts", index);
});

test("a source that does not compile ends with the compiler's message, exit 1", async () => {
  const checkout = await installed();
  const index = readFileSync(checkout.path("packages/words/src/index.ts"), "utf8");
  checkout.write("packages/words/src/index.ts", "export const greeting: string = 1;\n");
  const { code, stderr } = await checkout.start();
  checkout.write("packages/words/src/index.ts", index);
  expect(code).toBe(1);
  expect(stderr).toContain("TS2322");
});

test("after a pull that changes the lockfile the new version runs", async () => {
  const checkout = await installed();
  checkout.require(`${++latest}.0.0`);
  expect(await checkout.start()).toMatchObject({ code: 0, stdout: greeting() });
  expect(readdirSync(checkout.path(".cache")).sort()).toEqual(["build", "setup.lock"]);
});

test("with the package source away an update fails and leaves the working installation", async () => {
  const checkout = await installed();
  const before = greeting();
  checkout.require(`${++latest}.0.0`);
  await checkout.registry.close();
  const failed = await checkout.start();
  expect(failed).toMatchObject({ code: 1, stdout: "" });
  expect(failed.stderr).toContain("hint: what was installed before is untouched: `npx --no-install x0 up`");
  expect(await checkout.npm(["exec", "--no", "x0"])).toMatchObject({ code: 0, stdout: before });
  await checkout.registry.open();
  expect(await checkout.start()).toMatchObject({ code: 0, stdout: greeting() });
});

test("a setup killed while npm fetches leaves the working installation", async () => {
  const checkout = await installed();
  const before = greeting();
  checkout.require(`${++latest}.0.0`);
  const asked = checkout.registry.stall();
  const setup = checkout.spawn("node", ["scripts/setup.mjs"]);
  await asked;
  setup.kill("SIGKILL");
  await outcomeOf(setup);
  expect(await checkout.npm(["exec", "--no", "x0"])).toMatchObject({ code: 0, stdout: before });
  await checkout.registry.close();
  await checkout.registry.open();
  expect(await checkout.start()).toMatchObject({ code: 0, stdout: greeting() });
});

test("a setup killed between setting the old installation aside and placing the new one is undone", async () => {
  const checkout = await installed();
  mkdirSync(checkout.path(".cache/previous"));
  renameSync(checkout.path("node_modules"), checkout.path(".cache/previous/node_modules"));
  await checkout.registry.close();
  expect(await checkout.start()).toEqual({ code: 0, stdout: greeting(), stderr: "" });
});

test("two setups at once install once", async () => {
  await using checkout = await createCheckout();
  const [one, other] = await Promise.all([checkout.start(), checkout.start()]);
  expect(one).toMatchObject({ code: 0, stdout: "greeting 1.0.0\n" });
  expect(other).toMatchObject({ code: 0, stdout: "greeting 1.0.0\n" });
  expect(checkout.registry.requests.filter((path) => path.endsWith("greeting-1.0.0.tgz"))).toHaveLength(1);
});

test.each(["missing", "broken"] as const)(
  "says what to do where the installed Node 24 is %s",
  async (node) => {
    await using checkout = await createCheckout({ node });
    for (const attempt of ["first", "second"]) {
      const { code, stderr } = await checkout.start();
      expect(code, attempt).toBe(systemNode >= 24 ? 0 : 2);
      if (systemNode < 24)
        expect(stderr, attempt).toMatch(/needs Node 24 or newer and found .*\nhint: install Node 24/);
    }
  },
);

test.skipIf(process.getuid?.() !== 0)(
  "root in a user's clone leaves nothing that blocks the user",
  async () => {
    const uid = 54_321;
    await using checkout = await createCheckout();
    for (const path of filesBelow(checkout)) chownSync(path, uid, uid);
    expect(await checkout.start()).toMatchObject({ code: 0, stdout: "greeting 1.0.0\n" });
    expect(filesBelow(checkout).filter((path) => lstatSync(path).uid !== uid)).toEqual([]);

    checkout.require("2.0.0");
    checkout.write("packages/words/src/index.ts", 'export { greeting } from "greeting"; // changed\n');
    expect(await checkout.start({ uid })).toMatchObject({ code: 0, stdout: "greeting 2.0.0\n" });
    expect(readFileSync(checkout.path("packages/words/dist/index.js"), "utf8")).toContain("changed");
  },
);

function filesBelow(checkout: Checkout): string[] {
  const entries = readdirSync(checkout.folder, { recursive: true, withFileTypes: true });
  return [checkout.folder, ...entries.map((entry) => join(entry.parentPath, entry.name))];
}
