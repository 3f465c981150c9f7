/** `spec`, or one of `specs`: whom it selects, and its rules of both directions. */
import type { Direction, PolicyKind } from "../model.ts";
import type { DraftDirection, DraftRule, DraftSpec } from "./draft.ts";
import { type Field, fieldsOf, flagOf, itemsOf, malformed, textOf } from "./fields.ts";
import { policyLimits } from "./limits.ts";
import type { NamedPorts } from "./named-ports.ts";
import { peersOf } from "./peers.ts";
import { portsOf } from "./ports.ts";
import { defaultDenySchema, logSchema, ruleSchemas, specSchema } from "./schema.ts";
import { selectorOf } from "./selector.ts";

/** @returns undefined where it cannot hold; why is told. */
export function specOf(field: Field, kind: PolicyKind, names: NamedPorts): DraftSpec | undefined {
  const fields = fieldsOf(field, specSchema);
  if (fields === undefined) return undefined;
  const subject = subjectOf(field, fields, kind);
  const denyField = fields.get("enableDefaultDeny");
  const defaults = denyField && fieldsOf(denyField, defaultDenySchema);
  const directionOf = (direction: Direction): DraftDirection | undefined =>
    directionFrom(fields, direction, defaults?.get(direction), names);
  const ingress = directionOf("ingress");
  const egress = directionOf("egress");
  const sections = ["ingress", "ingressDeny", "egress", "egressDeny"].flatMap(
    (name) => fields.get(name) ?? [],
  );
  if (sections.every(({ tree }) => tree.kind === "list" && tree.items.length === 0))
    malformed(
      field,
      "without a rule in ingress, ingressDeny, egress or egressDeny it does nothing",
      "- {} is a rule that allows nothing: it turns on default deny",
    );
  const descriptionField = fields.get("description");
  const description = descriptionField && textOf(descriptionField);
  const logField = fields.get("log");
  const log = logField && logOf(logField);
  return subject && { path: field.path, subject, ingress, egress, description, log };
}

function subjectOf(
  spec: Field,
  fields: ReadonlyMap<string, Field>,
  kind: PolicyKind,
): DraftSpec["subject"] | undefined {
  const endpoints = fields.get("endpointSelector");
  const nodes = fields.get("nodeSelector");
  if (nodes !== undefined && kind === "CiliumNetworkPolicy")
    return malformed(nodes, "only a CiliumClusterwideNetworkPolicy selects nodes by nodeSelector");
  if (endpoints !== undefined && nodes !== undefined)
    return malformed(nodes, "endpointSelector and nodeSelector cannot stand in one spec", "use specs");
  const field = endpoints ?? nodes;
  if (field === undefined)
    return malformed(spec, "endpointSelector is missing", "endpointSelector: {} selects every endpoint");
  const labels = selectorOf(field);
  return labels && { kind: nodes === undefined ? "endpoint" : "node", labels };
}

/**
 * Default deny is on where rules of the direction stand, deny rules included, unless `enableDefaultDeny` says
 * otherwise; it may also turn it on where no rules stand.
 */
function directionFrom(
  fields: ReadonlyMap<string, Field>,
  direction: Direction,
  flag: Field | undefined,
  names: NamedPorts,
): DraftDirection | undefined {
  const allowField = fields.get(direction);
  const denyField = fields.get(`${direction}Deny`);
  const allowing = rulesOf(allowField, direction, false, names);
  const denying = rulesOf(denyField, direction, true, names);
  const wanted = flag && flagOf(flag);
  const section = allowing.length > 0 ? allowField : denying.length > 0 ? denyField : undefined;
  if (section === undefined && wanted !== true) return undefined;
  return {
    path: (section ?? flag)?.path ?? "",
    defaultDeny: wanted ?? true,
    rules: [...allowing, ...denying],
  };
}

function rulesOf(
  section: Field | undefined,
  direction: Direction,
  deny: boolean,
  names: NamedPorts,
): readonly DraftRule[] {
  const items = (section && itemsOf(section)) ?? [];
  if (section !== undefined && items.length > policyLimits.rules) {
    malformed(section, `more than ${policyLimits.rules} rules`);
    return [];
  }
  const schema = ruleSchemas[deny ? (`${direction}Deny` as const) : direction];
  return items.flatMap((item): DraftRule[] => {
    const fields = fieldsOf(item, schema);
    if (fields === undefined) return [];
    const peers = peersOf(item, fields, direction);
    const ports = portsOf(item, fields, deny, names);
    /** A rule that says neither whom nor what matches nothing: Cilium's way to write default deny alone. */
    return [{ path: item.path, deny, peers: peers ?? (ports === undefined ? [] : undefined), ports }];
  });
}

function logOf(field: Field): string | undefined {
  const value = fieldsOf(field, logSchema)?.get("value");
  const text = value && textOf(value);
  if (value === undefined || text === undefined) return undefined;
  if ([...text].length <= policyLimits.logCharacters && !/\p{C}/u.test(text)) return text;
  return malformed(value, `the text must have at most ${policyLimits.logCharacters} printable characters`);
}
