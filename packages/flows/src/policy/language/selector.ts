/**
 * Label selectors: Kubernetes' syntax, with the sources that Cilium writes before a key. Labels here have no source:
 * `any:` and `k8s:` select the plain label. `reserved:host` and `reserved:remote-node` are labels of nodes.
 */
import type { LabelRequirement, LabelSelector, Labels } from "../model.ts";
import { entriesOf, type Field, fieldsOf, itemsOf, malformed, shown, textOf, unsupported } from "./fields.ts";
import { requirementSchema, selectorSchema } from "./schema.ts";

const operators = ["In", "NotIn", "Exists", "DoesNotExist"] as const;
/** RFC 1123 subdomain, as Kubernetes checks it. */
export const subdomain =
  /^(?=.{1,253}$)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const labelName = /^(?=.{1,63}$)[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const labelValue = /^(?=.{0,63}$)(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/;
/** Of Cilium's reserved labels those that an endpoint here can have. */
const endpointLabels = ["reserved:host", "reserved:remote-node"];
export const worldLabels = ["reserved:world", "reserved:world-ipv4", "reserved:world-ipv6"];

/** @param also reserved labels that are allowed beside those of endpoints. */
export function selectorOf(field: Field, also: readonly string[] = []): LabelSelector | undefined {
  const fields = fieldsOf(field, selectorSchema);
  if (fields === undefined) return undefined;
  const requirements: LabelRequirement[] = [];
  const labels = fields.get("matchLabels");
  for (const [name, value] of (labels && entriesOf(labels)) ?? []) {
    const key = keyOf(value, name, also);
    const text = labelValueOf(value);
    if (key !== undefined && text !== undefined) requirements.push({ key, operator: "In", values: [text] });
  }
  const expressions = fields.get("matchExpressions");
  for (const item of (expressions && itemsOf(expressions)) ?? []) {
    const requirement = requirementOf(item, also);
    if (requirement !== undefined) requirements.push(requirement);
  }
  return requirements;
}

function requirementOf(field: Field, also: readonly string[]): LabelRequirement | undefined {
  const fields = fieldsOf(field, requirementSchema);
  if (fields === undefined) return undefined;
  const keyField = fields.get("key");
  const operatorField = fields.get("operator");
  if (keyField === undefined || operatorField === undefined)
    return malformed(field, `${keyField === undefined ? "key" : "operator"} is missing`);
  const name = textOf(keyField);
  const key = name === undefined ? undefined : keyOf(keyField, name, also);
  const word = textOf(operatorField);
  const operator = operators.find((one) => one === word);
  if (word !== undefined && operator === undefined)
    malformed(operatorField, `${shown(word)} is no operator`, `known are ${operators.join(", ")}`);
  const list = fields.get("values");
  const values = list === undefined ? [] : itemsOf(list)?.map(labelValueOf);
  if (key === undefined || operator === undefined || values === undefined) return undefined;
  const wantsValues = operator === "In" || operator === "NotIn";
  if (wantsValues !== values.length > 0)
    return malformed(list ?? field, wantsValues ? `${operator} needs values` : `${operator} takes no values`);
  return { key, operator, values: values.filter((value) => value !== undefined) };
}

/** @param field where a problem with the key is told. */
function keyOf(field: Field, name: string, also: readonly string[]): string | undefined {
  const colon = name.indexOf(":");
  const source = colon < 0 ? "any" : name.slice(0, colon);
  const key = name.slice(colon + 1);
  if (!isLabelKey(key))
    return malformed(
      field,
      `${shown(name)} is no label key`,
      "letters, digits, -, _ and . with a letter or digit at both ends, at most 63, and before a / a domain",
    );
  if (source === "any" || source === "k8s") return key;
  if (source !== "reserved")
    return unsupported(
      field,
      `labels have no source ${shown(source)} here`,
      "write the key alone, or any: before it",
    );
  if (endpointLabels.includes(name) || also.includes(name)) return name;
  return unsupported(
    field,
    `nothing here has the label ${shown(name)}`,
    `known are ${[...endpointLabels, ...also].join(", ")}`,
  );
}

function isLabelKey(key: string): boolean {
  const slash = key.indexOf("/");
  return labelName.test(key.slice(slash + 1)) && (slash < 0 || subdomain.test(key.slice(0, slash)));
}

function labelValueOf(field: Field): string | undefined {
  const text = textOf(field);
  if (text === undefined || labelValue.test(text)) return text;
  return malformed(
    field,
    `${shown(text)} is no label value`,
    "letters, digits, -, _ and . with a letter or digit at both ends, at most 63",
  );
}

/** `metadata.labels`. */
export function labelsOf(field: Field): Labels {
  return Object.fromEntries(
    (entriesOf(field) ?? []).flatMap(([key, value]) => {
      if (!isLabelKey(key)) return malformed(value, `${shown(key)} is no label key`) ?? [];
      const text = labelValueOf(value);
      return text === undefined ? [] : [[key, text]];
    }),
  );
}
