/** Who is at the other end: the `from…` or `to…` fields of a rule. */
import { type Direction, type Entity, entities } from "../model.ts";
import { cidrRuleOf, prefixOf } from "./cidr.ts";
import { parseName, parsePattern } from "./dns-names.ts";
import type { DraftPeer } from "./draft.ts";
import { type Field, fieldsOf, itemsOf, malformed, shown, textOf, unsupported, warn } from "./fields.ts";
import { nameSchema } from "./schema.ts";
import { selectorOf, worldLabels } from "./selector.ts";

const readers: readonly [suffix: string, read: (item: Field) => DraftPeer | undefined][] = [
  ["Endpoints", endpointsOf],
  ["Nodes", nodesOf],
  ["CIDR", cidrOf],
  ["CIDRSet", cidrRuleOf],
  ["Entities", entityOf],
  ["FQDNs", nameOf],
];

/**
 * Undefined where no field says it. An empty list selects nobody, as in Cilium, whatever stands beside it;
 * Cilium is of two minds about an empty toFQDNs, and this is the careful one.
 */
export function peersOf(
  rule: Field,
  fields: ReadonlyMap<string, Field>,
  direction: Direction,
): readonly DraftPeer[] | undefined {
  const given = readers.flatMap(([suffix, read]) => {
    const name = `${direction === "ingress" ? "from" : "to"}${suffix}`;
    const field = fields.get(name);
    return field === undefined ? [] : [{ name, field, read, items: itemsOf(field) }];
  });
  if (given.length === 0) return undefined;
  const [first, second] = given.filter(({ items }) => items !== undefined && items.length > 0);
  if (first !== undefined && second !== undefined)
    malformed(rule, `${first.name} and ${second.name} cannot stand in one rule`, "make two rules of it");
  const peers = given.flatMap(({ items, read }) => (items ?? []).flatMap((item) => read(item) ?? []));
  const nobody = given.find(({ items }) => items?.length === 0);
  if (nobody === undefined) return peers;
  warn(nobody.field, `an empty ${nobody.name} selects nobody`, "leave it out where everybody is meant");
  return [];
}

/** Cilium's `reserved:world` among endpoints is the entity. */
function endpointsOf(item: Field): DraftPeer | undefined {
  const labels = selectorOf(item, worldLabels);
  if (labels === undefined) return undefined;
  if (!labels.some(({ key }) => worldLabels.includes(key))) return { kind: "endpoints", labels };
  const [requirement, ...more] = labels;
  const { key = "", operator, values = [] } = requirement ?? {};
  const isPlain = operator === "Exists" || (operator === "In" && values.length === 1 && values[0] === "");
  if (more.length > 0 || !isPlain)
    return unsupported(
      item,
      "a selector of the world has no other requirements here",
      "use fromEntities or toEntities",
    );
  return { kind: "entity", entity: key.slice("reserved:".length) as Entity };
}

function nodesOf(item: Field): DraftPeer | undefined {
  const labels = selectorOf(item);
  return labels && { kind: "nodes", labels };
}

function cidrOf(item: Field): DraftPeer | undefined {
  const prefix = prefixOf(item, true);
  return prefix && { kind: "cidr", prefix, except: [] };
}

/** Cilium's entities that nothing here can be. */
const foreignEntities = ["health", "ingress", "init", "kube-apiserver", "none", "unmanaged"];

function entityOf(item: Field): DraftPeer | undefined {
  const word = textOf(item);
  if (word === undefined) return undefined;
  const entity = entities.find((one) => one === word);
  if (entity !== undefined) return { kind: "entity", entity };
  const hint = `known are ${entities.join(", ")}`;
  if (foreignEntities.includes(word))
    return unsupported(item, `there is no entity ${word} without Kubernetes`, hint);
  return malformed(item, `${shown(word)} is no entity`, hint);
}

function nameOf(item: Field): DraftPeer | undefined {
  const fields = fieldsOf(item, nameSchema);
  if (fields === undefined) return undefined;
  const nameField = fields.get("matchName");
  const patternField = fields.get("matchPattern");
  if (nameField !== undefined && patternField !== undefined)
    return malformed(item, "only one of matchName and matchPattern may be given", "make two items of it");
  const field = nameField ?? patternField;
  if (field === undefined) return malformed(item, "matchName or matchPattern is missing");
  const text = textOf(field);
  if (text === undefined) return undefined;
  const selector = nameField === undefined ? parsePattern(text) : parseName(text);
  if (selector !== undefined) return selector;
  const isPattern = nameField === undefined;
  return malformed(
    field,
    `${shown(text)} is no ${isPattern ? "pattern of DNS names" : "DNS name"}`,
    text.includes("*") && !isPattern
      ? "matchPattern takes stars"
      : "letters, digits, -, _ and dots between them",
  );
}
