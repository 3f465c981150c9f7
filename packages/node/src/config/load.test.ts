import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { configJsonSchema } from "./documents.ts";
import { type Config, loadConfig } from "./load.ts";
import { type Environment, findPlaces } from "./places.ts";
import { nodeConfigSchema, type Section } from "./sections.ts";

const folder = mkdtempSync(join(tmpdir(), "x0-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

const sections: readonly Section[] = [
  { name: "node", summary: "The agent itself.", schema: nodeConfigSchema },
  {
    name: "flows",
    summary: "Flows.",
    schema: z.object({
      interfaces: z.array(z.string()).default(["*"]).describe("which devices"),
      map_entries: z.int().min(1).default(1000).describe("size of the map"),
      kernel_statistics: z.boolean().default(false).describe("run time"),
    }),
  },
];

let files = 0;
function load(given: { file?: string; env?: Environment; set?: string[] }): Config {
  const path = join(folder, `${++files}.toml`);
  if (given.file !== undefined) writeFileSync(path, given.file);
  const env = { HOME: folder, XDG_CONFIG_HOME: folder, ...given.env };
  const flags = { set: given.set ?? [], ...(given.file === undefined ? {} : { config: path }) };
  return loadConfig({ sections, places: findPlaces(flags, env), env, flags });
}

const originsOf = (config: Config) =>
  Object.fromEntries(
    config.settings.map(({ section, key, value, origin }) => [
      `${section}.${key}`,
      [value, origin.replace(folder, "")],
    ]),
  );

test("a flag outranks the environment, that the file, that the default; each says where it came from", () => {
  const file =
    '[node]\nlisten = "[::1]:1"\nlog_level = "debug"\n[flows]\nmap_entries = 5\nkernel_statistics = true\n';
  const env = { X0_FLOWS_MAP_ENTRIES: "6", X0_NODE_LOG_LEVEL: "warn", X0_FLOWS_INTERFACES: "lo,eth0" };
  const config = load({ file, env, set: ["node.log_level=error"] });
  const path = config.file?.replace(folder, "");
  expect(originsOf(config)).toEqual({
    "node.listen": ["[::1]:1", `file ${path}`],
    "node.log_level": ["error", "flag --set"],
    "node.log_format": ["text", "default"],
    "flows.interfaces": [["lo", "eth0"], "env X0_FLOWS_INTERFACES"],
    "flows.map_entries": [6, "env X0_FLOWS_MAP_ENTRIES"],
    "flows.kernel_statistics": [true, `file ${path}`],
  });
  expect(config.section("flows")).toEqual({
    interfaces: ["lo", "eth0"],
    map_entries: 6,
    kernel_statistics: true,
  });
});

test("without a file everything has its default", () => {
  const config = load({});
  expect(config.file).toBeUndefined();
  expect(new Set(config.settings.map(({ origin }) => origin))).toEqual(new Set(["default"]));
});

test.each([
  [
    "key in the file",
    { file: "[flows]\ninterface = ['lo']" },
    /flows\.interface in .*toml/,
    "flows.interfaces",
  ],
  ["section in the file", { file: "[flow]\nmap_entries = 1" }, /\[flow\]/, "flows"],
  ["key outside of a section", { file: "listen = '127.0.0.1:1'" }, /listen/, "node, flows"],
  ["prototype's name", { file: "[flows]\nconstructor = 1" }, /flows\.constructor/, "flows."],
  ["variable", { env: { X0_FLOW_INTERFACES: "lo" } }, /X0_FLOW_INTERFACES/, "X0_FLOWS_INTERFACES"],
  ["flag", { set: ["flows.map_entires=1"] }, /flows\.map_entires/, "flows.map_entries"],
])("an unknown %s is an error that names the nearest", (_, given, message, near) => {
  expect(() => load(given)).toThrow(
    expect.objectContaining({
      code: "X0_NODE_CONFIG_UNKNOWN",
      exit: 2,
      message: expect.stringMatching(message),
      hint: expect.stringContaining(near),
    }),
  );
});

test.each([
  ["a wrong type", { file: "[flows]\nmap_entries = 'many'" }, /flows\.map_entries = "many" \(file /],
  ["a value out of range", { env: { X0_FLOWS_MAP_ENTRIES: "0" } }, /env X0_FLOWS_MAP_ENTRIES/],
  ["a number that is none", { set: ["flows.map_entries=ten"] }, /flag --set/],
  ["a section that is a value", { file: "flows = 3" }, /flows must be a table/],
  ["an assignment without value", { set: ["flows"] }, /--set flows is not an assignment/],
  ["an address without port", { set: ["node.listen=localhost"] }, /node\.listen/],
  ["a port that is none", { set: ["node.listen=127.0.0.1:70000"] }, /node\.listen/],
])("%s is refused with its place", (_, given, message) => {
  expect(() => load(given)).toThrow(
    expect.objectContaining({
      code: "X0_NODE_CONFIG_INVALID",
      exit: 2,
      message: expect.stringMatching(message),
    }),
  );
});

test.each(["0.0.0.0:4280", "[::]:4280", "192.0.2.1:4280", "[fe80::1]:4280"])(
  "%s is not listened on",
  (listen) => {
    expect(() => load({ set: [`node.listen=${listen}`] })).toThrow(
      expect.objectContaining({ code: "X0_NODE_NOT_LOOPBACK", exit: 2 }),
    );
  },
);

test("a file that is not TOML is said with its line", () => {
  expect(() => load({ file: "[node]\nlisten = \n" })).toThrow(
    expect.objectContaining({ code: "X0_NODE_CONFIG_SYNTAX", message: expect.stringMatching(/\.toml:2:/) }),
  );
});

test("a file beyond the limit is not read", () => {
  expect(() => load({ file: `#${"x".repeat(1024 * 1024)}` })).toThrow(
    expect.objectContaining({ code: "X0_NODE_CONFIG_SYNTAX" }),
  );
});

test("a named file must be there", () => {
  const env = { X0_CONFIG: join(folder, "missing.toml") };
  expect(() => load({ env })).toThrow(expect.objectContaining({ code: "X0_NODE_CONFIG_UNREADABLE" }));
});

test("places: flag, then environment, then XDG, which must be absolute", () => {
  const env = { HOME: "/home/u", X0_DATA_DIR: "/env/data", X0_CONFIG: "/env/x0.toml" };
  const flags = { set: [], config: "/flag/x0.toml", dataDirectory: "/flag/data" };
  expect(findPlaces(flags, env).dataDirectory).toEqual({ path: "/flag/data", origin: "flag --data-dir" });
  expect(findPlaces(flags, env).configFile.path).toBe("/flag/x0.toml");
  expect(findPlaces({ set: [] }, env).dataDirectory.path).toBe("/env/data");
  expect(findPlaces({ set: [] }, env).configFile).toMatchObject({ path: "/env/x0.toml", required: true });
  const relative = { HOME: "/home/u", XDG_CONFIG_HOME: "relative" };
  expect(findPlaces({ set: [] }, relative).configFile).toMatchObject({
    path: "/home/u/.config/x0tta6bl4/x0.toml",
    required: false,
  });
});

test("the JSON Schema knows every key, its default and that there are no others", () => {
  const schema = configJsonSchema(sections) as { properties: Record<string, { properties: object }> };
  expect(schema).toMatchObject({ additionalProperties: false });
  expect(schema.properties["flows"]).toMatchObject({
    additionalProperties: false,
    properties: {
      interfaces: { type: "array", items: { type: "string" }, default: ["*"], description: "which devices" },
      map_entries: { type: "integer", minimum: 1, default: 1000 },
      kernel_statistics: { type: "boolean", default: false },
    },
  });
});
