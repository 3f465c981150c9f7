import { jsonLine, table } from "@x0tta6bl4/core";
import { configJsonSchema } from "../config/documents.ts";
import { loadConfig, type Setting } from "../config/load.ts";
import { sectionsOf } from "../config/sections.ts";
import type { Output } from "./commands.ts";
import type { NodeContext } from "./context.ts";

export async function showConfig(
  this: NodeContext,
  flags: { output: Output; origin: boolean },
): Promise<void> {
  const sections = sectionsOf(await this.loadParts());
  const { file, settings } = loadConfig({ ...this, sections });
  if (flags.output === "json") {
    const document = {
      file: file ?? null,
      dataDirectory: this.places.dataDirectory.path,
      config: Object.fromEntries(
        sections.map(({ name }) => [name, bySection(settings, name, ({ value }) => value)]),
      ),
      ...(flags.origin
        ? {
            origins: Object.fromEntries(
              sections.map(({ name }) => [name, bySection(settings, name, ({ origin }) => origin)]),
            ),
          }
        : {}),
    };
    this.stdout.write(jsonLine(document));
    return;
  }
  const { configFile, dataDirectory } = this.places;
  const rows = [
    ["config file", file === undefined ? `${configFile.path} (does not exist)` : file, configFile.origin],
    ["data folder", dataDirectory.path, dataDirectory.origin],
    ...settings.map(({ section, key, value, origin }) => [
      `${section}.${key}`,
      JSON.stringify(value),
      origin,
    ]),
  ];
  const columns = ["KEY", "VALUE", "ORIGIN"];
  const shown = flags.origin ? 3 : 2;
  this.stdout.write(
    table(
      columns.slice(0, shown),
      rows.map((row) => row.slice(0, shown)),
    ),
  );
}

export async function printSchema(this: NodeContext): Promise<void> {
  const sections = sectionsOf(await this.loadParts());
  this.stdout.write(jsonLine(configJsonSchema(sections)));
}

function bySection(settings: readonly Setting[], name: string, pick: (setting: Setting) => unknown): object {
  const own = settings.filter(({ section }) => section === name);
  return Object.fromEntries(own.map((setting) => [setting.key, pick(setting)]));
}
