/** The TypeScript that goes with a BPF object: names, and the places of fields in the structs that both sides share. */
import type { BpfObject } from "../../packages/flows/src/kernel/object.ts";
import { type Btf, kind } from "./btf.ts";

/** @param header the C source whose structs and enumerations follow, in its order. */
export function writeLayout(object: BpfObject<string, string>, btf: Btf, header: string | undefined): string {
  const names = (of: readonly { readonly name: string }[]): string =>
    JSON.stringify(of.map(({ name }) => name));
  const lines = [
    "// Written by `npm run generate` from packages/flows/bpf. Do not edit.",
    "",
    `export const programNames = ${names(object.programs)} as const;`,
    `export const mapNames = ${names(object.maps)} as const;`,
  ];
  const source = header?.replace(/\/\*[\s\S]*?\*\//g, "") ?? "";
  for (const [, type, name, body] of source.matchAll(/(struct|enum) (\w+) \{([\s\S]*?)\n\};/g)) {
    const fields = type === "struct" ? offsets(btf, name as string) : constants(body as string);
    if (fields === undefined) continue;
    lines.push("", `export const ${camel(name as string)}${type === "struct" ? "Layout" : ""} = {`);
    for (const [key, value] of fields) lines.push(`  ${key}: ${value},`);
    lines.push("} as const;");
  }
  return `${lines.join("\n")}\n`;
}

function offsets(btf: Btf, name: string): [string, number][] | undefined {
  const type = btf.types.find((candidate) => candidate.kind === kind.struct && candidate.name === name);
  if (type === undefined) return undefined;
  const members = type.members.filter((member) => !member.name.startsWith("pad"));
  return [["size", type.sizeOrType], ...members.map((m): [string, number] => [camel(m.name), m.offset / 8])];
}

function constants(body: string): [string, number][] {
  let next = 0;
  const entries = body.split(",").filter((entry) => entry.trim() !== "");
  return entries.map((entry) => {
    const match = /^\s*\w+?_(\w+)\s*(?:=\s*(?:(\d+) << (\d+)|(\d+)))?\s*$/.exec(entry);
    if (match === null) throw new Error(`not a constant: ${entry.trim()}`);
    if (match[2] !== undefined) next = Number(match[2]) << Number(match[3]);
    else if (match[4] !== undefined) next = Number(match[4]);
    return [camel((match[1] as string).toLowerCase()), next++];
  });
}

function camel(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}
