import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

export type Environment = Readonly<Record<string, string | undefined>>;

/** What every command takes: where things lie, and settings that outrank environment and file. */
export interface GlobalFlags {
  readonly config?: string;
  readonly dataDirectory?: string;
  /** `section.key=value` */
  readonly set: readonly string[];
}

export interface Places {
  readonly configFile: { readonly path: string; readonly origin: string; readonly required: boolean };
  readonly dataDirectory: { readonly path: string; readonly origin: string };
}

export const systemDataDirectory = "/var/lib/x0tta6bl4";
export const systemConfigFile = "/etc/x0tta6bl4/x0.toml";

/** Flag, then environment, then the system's place for root or the user's place (XDG Base Directory 0.8). */
export function findPlaces(flags: GlobalFlags, env: Environment): Places {
  return { configFile: findConfigFile(flags, env), dataDirectory: findDataDirectory(flags, env) };
}

function findConfigFile(flags: GlobalFlags, env: Environment): Places["configFile"] {
  if (flags.config !== undefined)
    return { path: resolve(flags.config), origin: "flag --config", required: true };
  const named = env["X0_CONFIG"];
  if (named) return { path: resolve(named), origin: "env X0_CONFIG", required: true };
  const users = join(xdg(env, "XDG_CONFIG_HOME", ".config"), "x0tta6bl4", "x0.toml");
  const path = existsSync(systemConfigFile) ? systemConfigFile : users;
  return { path, origin: "default", required: false };
}

function findDataDirectory(flags: GlobalFlags, env: Environment): Places["dataDirectory"] {
  if (flags.dataDirectory !== undefined)
    return { path: resolve(flags.dataDirectory), origin: "flag --data-dir" };
  const named = env["X0_DATA_DIR"];
  if (named) return { path: resolve(named), origin: "env X0_DATA_DIR" };
  if (process.geteuid?.() === 0) return { path: systemDataDirectory, origin: "default" };
  return { path: join(xdg(env, "XDG_STATE_HOME", ".local/state"), "x0tta6bl4"), origin: "default" };
}

/** A relative path in an XDG variable is invalid and to be ignored, says the specification. */
function xdg(env: Environment, name: string, fallback: string): string {
  const value = env[name];
  return value?.startsWith("/") === true ? value : join(env["HOME"] || homedir(), fallback);
}
