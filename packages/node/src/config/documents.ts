import { z } from "zod";
import { variableOf } from "./load.ts";
import type { Section } from "./sections.ts";

interface Property {
  readonly description?: string;
  readonly default?: unknown;
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly items?: Property;
  readonly anyOf?: readonly Property[];
}

/** The JSON Schema (2020-12) of the whole file, for editors: `x0 config schema`. */
export function configJsonSchema(sections: readonly Section[]): Record<string, unknown> {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "x0tta6bl4 configuration (x0.toml)",
    type: "object",
    additionalProperties: false,
    properties: Object.fromEntries(sections.map((section) => [section.name, sectionSchema(section)])),
  };
}

function sectionSchema(section: Section): Record<string, unknown> {
  const { $schema: _, ...schema } = z.toJSONSchema(section.schema, { io: "input" });
  return { ...schema, description: section.summary, additionalProperties: false };
}

/** `docs/config.md`. */
export function configMarkdown(sections: readonly Section[]): string {
  const lines = [
    "# Configuration",
    "",
    "One TOML file: `/etc/x0tta6bl4/x0.toml`, else `$XDG_CONFIG_HOME/x0tta6bl4/x0.toml`, or the one that `--config`",
    "or `X0_CONFIG` names. Each key can also be set by its environment variable or by `--set section.key=value`;",
    "a flag outranks the environment, the environment the file, the file the default. In the environment and after",
    "`--set` a list is written with commas. An unknown key is an error. `x0 config show --origin` says what is in",
    "force and where it came from; `x0 config schema` prints a JSON Schema for editors.",
    "",
    "Data lies in `/var/lib/x0tta6bl4` for root, else in `$XDG_STATE_HOME/x0tta6bl4`, or where `--data-dir` or",
    "`X0_DATA_DIR` says. `X0_DEBUG=1` adds stack traces to unexpected errors.",
  ];
  for (const section of sections) {
    const { properties = {} } = sectionSchema(section) as { properties?: Record<string, Property> };
    lines.push("", `## [${section.name}]`, "", section.summary, "");
    lines.push("| key | type | default | environment | meaning |", "|---|---|---|---|---|");
    for (const [key, property] of Object.entries(properties)) {
      const cells = [
        `\`${key}\``,
        typeOf(property),
        property.default === undefined ? "" : `\`${JSON.stringify(property.default)}\``,
        `\`${variableOf(section.name, key)}\``,
        property.description ?? "",
      ];
      lines.push(`| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`);
    }
  }
  return `${lines.join("\n")}\n`;
}

function typeOf(property: Property): string {
  if (property.enum !== undefined)
    return property.enum.map((value) => `\`${JSON.stringify(value)}\``).join(" or ");
  if (property.anyOf !== undefined) return property.anyOf.map(typeOf).join(" or ");
  if (property.type === "array") return `list of ${typeOf(property.items ?? {})}`;
  return property.type ?? "any";
}
