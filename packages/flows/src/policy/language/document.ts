/** One document: its kind, its metadata, and what they say of the rest. */
import { nearest } from "@x0tta6bl4/core";
import { type PolicyKind, policyKinds } from "../model.ts";
import { prefixOf } from "./cidr.ts";
import type { ComposedDocument } from "./compose.ts";
import type { CidrGroup, PolicyDocument } from "./draft.ts";
import { type Field, fieldsOf, itemsOf, malformed, shown, textOf, unsupported, warn } from "./fields.ts";
import { knownKinds } from "./kinds.ts";
import type { NamedPorts } from "./named-ports.ts";
import type { Report } from "./problem.ts";
import { documentSchema, groupSpecSchema, metadataSchema } from "./schema.ts";
import { labelsOf, subdomain } from "./selector.ts";
import { specOf } from "./spec.ts";

/** @returns undefined where it cannot hold; why is told. */
export function readDocument(
  { number, tree, source }: ComposedDocument,
  file: string,
  report: Report,
  names: NamedPorts,
): PolicyDocument | CidrGroup | undefined {
  const field: Field = { tree, path: "", document: number, report };
  const kind = kindOf(field);
  if (kind === undefined) return undefined;
  const fields = fieldsOf(field, documentSchema);
  if (fields === undefined) return undefined;
  const metadataField = fields.get("metadata");
  if (metadataField === undefined)
    return malformed(field, "metadata is missing", "it holds at least the name");
  const metadata = metadataOf(metadataField, kind);
  const documented = { labels: metadata?.labels ?? {}, file, document: number, line: tree.line, source };
  if (kind === "CiliumCIDRGroup") {
    const prefixes = groupPrefixes(field, fields);
    return metadata && prefixes && { ...documented, name: metadata.name, prefixes };
  }
  const one = fields.get("spec");
  const several = fields.get("specs");
  if (
    one === undefined &&
    (several === undefined || (several.tree.kind === "list" && several.tree.items.length === 0))
  )
    malformed(field, "spec is missing", "spec, or a list of them in specs");
  const specs = [...(one === undefined ? [] : [one]), ...((several && itemsOf(several)) ?? [])].flatMap(
    (spec) => specOf(spec, kind, names) ?? [],
  );
  return metadata && { ...documented, kind, name: metadata.name, specs };
}

/** Read first: what is of another kind has other fields. */
function kindOf(field: Field): PolicyKind | "CiliumCIDRGroup" | undefined {
  if (field.tree.kind !== "map") return malformed(field, `must be a map of fields, not a ${field.tree.kind}`);
  const [versionField, kindField] = ["apiVersion", "kind"].map((name) => {
    const entry = field.tree.kind === "map" ? field.tree.entries.find(({ key }) => key === name) : undefined;
    if (entry === undefined) return malformed(field, `${name} is missing`);
    return { ...field, path: name, tree: entry.value };
  });
  const version = versionField && textOf(versionField);
  const word = kindField && textOf(kindField);
  if (versionField === undefined || kindField === undefined || version === undefined || word === undefined)
    return undefined;
  const kinds = [...policyKinds, "CiliumCIDRGroup"] as const;
  const kind = kinds.find((one) => one === word);
  if (kind === undefined) {
    if (!version.startsWith("cilium.io/") || knownKinds.includes(word))
      return unsupported(kindField, `the kind ${shown(word)}`, `known are ${kinds.join(", ")}`);
    const meant = nearest(word.slice(0, 64), [...kinds, ...knownKinds]);
    return malformed(kindField, `${shown(word)} is no kind of Cilium`, `did you mean ${meant ?? kinds[0]}?`);
  }
  const versions = kind === "CiliumCIDRGroup" ? ["cilium.io/v2", "cilium.io/v2alpha1"] : ["cilium.io/v2"];
  if (versions.includes(version)) return kind;
  return malformed(versionField, `${shown(version)} has no ${kind}`, `it must be ${versions.join(" or ")}`);
}

/** The name with its namespace, `default` where none is given, as Kubernetes does. */
function metadataOf(
  field: Field,
  kind: PolicyKind | "CiliumCIDRGroup",
): { name: string; labels: PolicyDocument["labels"] } | undefined {
  const fields = fieldsOf(field, metadataSchema);
  if (fields === undefined) return undefined;
  const labelsField = fields.get("labels");
  const labels = labelsField === undefined ? {} : labelsOf(labelsField);
  const nameField = fields.get("name");
  if (nameField === undefined) return malformed(field, "name is missing");
  const name = textOf(nameField);
  if (name !== undefined && !subdomain.test(name))
    return malformed(
      nameField,
      `${shown(name)} is no name of an object`,
      "small letters, digits, - and . with a letter or digit at both ends, at most 253",
    );
  const namespaceField = fields.get("namespace");
  const namespace = namespaceField === undefined ? "default" : textOf(namespaceField);
  if (name === undefined || namespace === undefined) return undefined;
  if (kind !== "CiliumNetworkPolicy") {
    if (namespaceField !== undefined) return malformed(namespaceField, `a ${kind} is in no namespace`);
    return { name, labels };
  }
  if (!/^(?=.{1,63}$)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/.test(namespace))
    return malformed(namespaceField ?? field, `${shown(namespace)} is no name of a namespace`);
  if (namespaceField !== undefined && namespace !== "default")
    warn(namespaceField, "namespaces are part of names here: the policy selects in all of them");
  return { name: `${namespace}/${name}`, labels };
}

function groupPrefixes(
  document: Field,
  fields: ReadonlyMap<string, Field>,
): CidrGroup["prefixes"] | undefined {
  const specs = fields.get("specs");
  if (specs !== undefined) malformed(specs, "a CiliumCIDRGroup has no specs", "did you mean spec?");
  const spec = fields.get("spec");
  if (spec === undefined) return malformed(document, "spec is missing");
  const list = fieldsOf(spec, groupSpecSchema)?.get("externalCIDRs");
  if (list === undefined) return malformed(spec, "externalCIDRs is missing");
  return itemsOf(list)?.flatMap((item) => prefixOf(item, false) ?? []);
}
