/**
 * The configuration: one TOML file, `X0_<SECTION>_<KEY>` in the environment, `--set section.key=value`.
 * A flag outranks the environment, that the file, that the default; every value knows where it came from.
 * What is not known is an error, because a setting that is silently ignored is worse than none.
 */
import { readFileSync, statSync } from "node:fs";
import { messageOf, nearest, X0Error } from "@x0tta6bl4/core";
import { parse as parseToml } from "smol-toml";
import { z } from "zod";
import { nodeFail } from "../errors.ts";
import { parseListen } from "./listen.ts";
import type { Environment, GlobalFlags, Places } from "./places.ts";
import type { NodeConfig, Section } from "./sections.ts";

export interface Setting {
  readonly section: string;
  readonly key: string;
  readonly value: unknown;
  /** `default`, `file PATH`, `env X0_…` or `flag --set`. */
  readonly origin: string;
}

export interface Config {
  /** The file that was read, if there was one. */
  readonly file: string | undefined;
  readonly node: NodeConfig;
  /** The parsed section of a part. */
  section(name: string): unknown;
  readonly settings: readonly Setting[];
}

export interface ConfigSources {
  readonly sections: readonly Section[];
  readonly places: Places;
  readonly env: Environment;
  readonly flags: GlobalFlags;
}

/** A real configuration has a few kilobytes; more is a wrong file. */
const maxFileBytes = 1024 * 1024;
/** Variables of the environment that are not settings. */
const reserved = ["X0_CONFIG", "X0_DATA_DIR", "X0_DEBUG"];

type Given = Map<string, { value: unknown; origin: string }>;

/** @throws X0_NODE_CONFIG_UNKNOWN, X0_NODE_CONFIG_INVALID, X0_NODE_CONFIG_SYNTAX, X0_NODE_CONFIG_UNREADABLE, X0_NODE_NOT_LOOPBACK */
export function loadConfig(sources: ConfigSources): Config {
  const { sections, places, env, flags } = sources;
  const given: Given = new Map();
  const file = readConfigFile(places.configFile);
  if (file !== undefined) takeFile(given, sections, file, places.configFile.path);
  takeEnvironment(given, sections, env);
  for (const assignment of flags.set) takeFlag(given, sections, assignment);

  const settings: Setting[] = [];
  const parsed = new Map<string, unknown>();
  for (const section of sections) {
    const input: Record<string, unknown> = {};
    for (const key of Object.keys(section.schema.shape)) {
      const entry = given.get(`${section.name}.${key}`);
      if (entry !== undefined) input[key] = entry.value;
    }
    const result = section.schema.safeParse(input);
    if (!result.success) throw invalid(section.name, result.error, given);
    parsed.set(section.name, result.data);
    for (const [key, value] of Object.entries(result.data)) {
      const origin = given.get(`${section.name}.${key}`)?.origin ?? "default";
      settings.push({ section: section.name, key, value, origin });
    }
  }
  const node = parsed.get("node") as NodeConfig;
  parseListen(node.listen);
  return {
    file: file === undefined ? undefined : places.configFile.path,
    node,
    section: (name) => parsed.get(name),
    settings,
  };
}

function readConfigFile({ path, origin, required }: Places["configFile"]): string | undefined {
  try {
    if (statSync(path).size > maxFileBytes)
      throw nodeFail("X0_NODE_CONFIG_SYNTAX", `${path} is larger than ${maxFileBytes} bytes`, {
        hint: "check that this is the configuration file",
      });
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof X0Error) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (!required && (code === "ENOENT" || code === "ENOTDIR")) return undefined;
    throw nodeFail("X0_NODE_CONFIG_UNREADABLE", `${path} (${origin}) cannot be read: ${messageOf(error)}`, {
      hint: "check the path and its permissions, or name another file with --config",
      cause: error,
    });
  }
}

function takeFile(given: Given, sections: readonly Section[], text: string, path: string): void {
  let tables: Record<string, unknown>;
  try {
    tables = parseToml(text);
  } catch (error) {
    const { line, column } = error as { line?: number; column?: number };
    const reason = messageOf(error)
      .replace(/^Invalid TOML document: /, "")
      .split("  ")[0];
    throw nodeFail("X0_NODE_CONFIG_SYNTAX", `${path}:${line ?? 1}:${column ?? 1} is not TOML: ${reason}`, {
      hint: "see https://toml.io for the syntax and docs/config.md for the keys",
      cause: error,
    });
  }
  for (const [name, table] of Object.entries(tables)) {
    const section = sections.find((candidate) => candidate.name === name);
    if (section === undefined) throw unknown(`section [${name}] in ${path}`, name, names(sections), "");
    if (typeof table !== "object" || table === null || Array.isArray(table))
      throw nodeFail("X0_NODE_CONFIG_INVALID", `${path}: ${name} must be a table`, {
        hint: `write [${name}]`,
      });
    for (const [key, value] of Object.entries(table)) {
      if (!Object.hasOwn(section.schema.shape, key))
        throw unknown(`key ${name}.${key} in ${path}`, key, keysOf(section), `${name}.`);
      given.set(`${name}.${key}`, { value, origin: `file ${path}` });
    }
  }
}

function takeEnvironment(given: Given, sections: readonly Section[], env: Environment): void {
  const variables = new Map<string, [Section, string]>();
  for (const section of sections)
    for (const key of keysOf(section)) variables.set(variableOf(section.name, key), [section, key]);
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith("X0_") || text === undefined || reserved.includes(name)) continue;
    const target = variables.get(name);
    if (target === undefined)
      throw unknown(`environment variable ${name}`, name, [...variables.keys(), ...reserved], "");
    const [section, key] = target;
    given.set(`${section.name}.${key}`, { value: fromText(section, key, text), origin: `env ${name}` });
  }
}

function takeFlag(given: Given, sections: readonly Section[], assignment: string): void {
  const match = /^([^.=]+)\.([^=]+)=(.*)$/s.exec(assignment);
  if (match === null)
    throw nodeFail("X0_NODE_CONFIG_INVALID", `--set ${assignment} is not an assignment`, {
      hint: "write --set section.key=value, for example --set node.log_level=debug",
    });
  const [, name, key, text] = match as unknown as [string, string, string, string];
  const section = sections.find((candidate) => candidate.name === name);
  if (section === undefined) throw unknown(`section ${name} in --set`, name, names(sections), "");
  if (!Object.hasOwn(section.schema.shape, key))
    throw unknown(`key ${name}.${key} in --set`, key, keysOf(section), `${name}.`);
  given.set(`${name}.${key}`, { value: fromText(section, key, text), origin: "flag --set" });
}

/** `flows`, `max_flows` → `X0_FLOWS_MAX_FLOWS` */
export function variableOf(section: string, key: string): string {
  const word = (text: string) => text.replace(/([a-z\d])([A-Z])/g, "$1_$2").replaceAll("-", "_");
  return `X0_${word(section)}_${word(key)}`.toUpperCase();
}

/** A text as its key wants it: itself, a TOML value, or a list between commas; the first that fits. */
function fromText(section: Section, key: string, text: string): unknown {
  const schema = section.schema.shape[key] as z.ZodType;
  const readings: (() => unknown)[] = [
    () => text,
    () => parseToml(`value = ${text}`)["value"],
    () => text.split(",").flatMap((item) => item.trim() || []),
  ];
  for (const read of readings) {
    try {
      const value = read();
      if (schema.safeParse(value).success) return value;
    } catch {
      // Not TOML: the next reading.
    }
  }
  return text;
}

function keysOf(section: Section): string[] {
  return Object.keys(section.schema.shape);
}

function names(sections: readonly Section[]): string[] {
  return sections.map((section) => section.name);
}

function unknown(what: string, word: string, candidates: string[], prefix: string): Error {
  const near = nearest(word, candidates);
  return nodeFail("X0_NODE_CONFIG_UNKNOWN", `unknown ${what}`, {
    hint:
      near === undefined
        ? `known are ${candidates.map((name) => prefix + name).join(", ")}`
        : `did you mean ${prefix}${near}? \`x0 config show\` lists all`,
  });
}

function invalid(section: string, error: z.ZodError, given: Given): Error {
  const issue = error.issues[0];
  const key = String(issue?.path[0] ?? "");
  const entry = given.get(`${section}.${key}`);
  const place = [section, ...(issue?.path.map(String) ?? [])].join(".");
  const value = entry === undefined ? "" : ` = ${JSON.stringify(entry.value)} (${entry.origin})`;
  return nodeFail("X0_NODE_CONFIG_INVALID", `${place}${value}: ${issue?.message ?? z.prettifyError(error)}`, {
    hint: "`x0 config schema` and docs/config.md say what fits",
  });
}
