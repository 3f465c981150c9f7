/** `toPorts` and `icmps`. */
import type { PortSelector, policyProtocols } from "../model.ts";
import {
  type Field,
  fieldsOf,
  itemsOf,
  malformed,
  numberOf,
  shown,
  textOf,
  unsupported,
  warn,
} from "./fields.ts";
import { type IcmpFamily, icmpTypes } from "./icmp-types.ts";
import { policyLimits } from "./limits.ts";
import { type NamedPorts, type PortProtocol, portProtocols } from "./named-ports.ts";
import {
  icmpFieldSchema,
  icmpRuleSchema,
  layer7Schema,
  portDenyRuleSchema,
  portRuleSchema,
  portSchema,
} from "./schema.ts";

/** RFC 6335 §5.1, as Cilium checks it: at least one letter, no hyphen at the ends or beside another. */
const serviceName = /^(?=.{1,15}$)(?=.*[A-Za-z])[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*$/;
/** Cilium's flag for them is off by default, and here nothing but these has ports. */
const extendedProtocols = ["VRRP", "IGMP", "GRE", "IPIP", "IPV6", "ESP", "AH"];

/**
 * Both sections of a rule. Neither, or empty lists: undefined, every port. An entry without ports gives none, as in
 * Cilium: a rule with nothing else matches nothing.
 */
export function portsOf(
  rule: Field,
  fields: ReadonlyMap<string, Field>,
  deny: boolean,
  names: NamedPorts,
): readonly PortSelector[] | undefined {
  const section = (name: string): Field[] => {
    const field = fields.get(name);
    const items = (field && itemsOf(field)) ?? [];
    if (field?.tree.kind === "list" && items.length === 0)
      warn(field, `an empty ${name} means every protocol and port`, "leave it out, or name what is meant");
    return items;
  };
  const toPorts = section("toPorts");
  const icmps = section("icmps");
  if (toPorts.length > 0 && icmps.length > 0)
    return malformed(rule, "icmps and toPorts cannot stand in one rule", "make two rules of it");
  if (toPorts.length + icmps.length === 0) return undefined;
  const ports = [...toPorts.flatMap((item) => portRuleOf(item, deny, names)), ...icmps.flatMap(icmpRuleOf)];
  if (ports.length === 0 && !rule.report.problems.some(({ severity }) => severity !== "warning"))
    warn(rule, "without ports listed in it the rule matches nothing");
  return ports;
}

function portRuleOf(field: Field, deny: boolean, names: NamedPorts): PortSelector[] {
  const fields = fieldsOf(field, deny ? portDenyRuleSchema : portRuleSchema);
  const rules = fields?.get("rules");
  if (rules !== undefined) fieldsOf(rules, layer7Schema);
  return limited(fields?.get("ports"), policyLimits.ports, "ports").flatMap(
    (item) => portOf(item, names) ?? [],
  );
}

function limited(list: Field | undefined, most: number, what: string): Field[] {
  const items = (list && itemsOf(list)) ?? [];
  if (list === undefined || items.length <= most) return items;
  malformed(
    list,
    `${items.length} ${what}, and Cilium takes ${most} in one entry`,
    "make several entries of it",
  );
  return [];
}

function portOf(field: Field, names: NamedPorts): PortSelector[] | undefined {
  const fields = fieldsOf(field, portSchema);
  if (fields === undefined) return undefined;
  const protocols = protocolsOf(fields.get("protocol"));
  const portField = fields.get("port");
  if (portField === undefined) return malformed(field, "port is missing", 'every port is port: "0"');
  const text = textOf(portField);
  const endField = fields.get("endPort");
  const end = endField === undefined ? 0 : numberOf(endField, 0, 65_535);
  if (text === undefined || end === undefined || protocols === undefined) return undefined;
  if (serviceName.test(text)) {
    if (end > 0 && endField !== undefined)
      warn(
        endField,
        "Cilium passes endPort by where the port is a name",
        "write the number of the first port",
      );
    return namedPort(portField, text.toLowerCase(), protocols, names);
  }
  if (!/^(?:0|[1-9]\d{0,4})$/.test(text) || Number(text) > 65_535)
    return malformed(
      portField,
      `${shown(text)} is no port`,
      "a number from 0 to 65535 without leading zeros, or a name of at most 15 letters, digits and hyphens",
    );
  const port = Number(text);
  if (end > 0 && end < port) return malformed(endField ?? field, `endPort ${end} is below port ${port}`);
  const last = end > 0 ? end : port === 0 ? 65_535 : port;
  return protocols.map((protocol) => ({ protocol, first: port, last }));
}

function protocolsOf(field: Field | undefined): readonly PortProtocol[] | undefined {
  if (field === undefined) return portProtocols;
  const text = textOf(field);
  if (text === undefined) return undefined;
  const word = text.toUpperCase();
  if (word === "" || word === "ANY") return portProtocols;
  const protocol = portProtocols.find((one) => one === word.toLowerCase());
  if (protocol !== undefined) return [protocol];
  if (extendedProtocols.includes(word)) return unsupported(field, `${word} is not judged by its own rules`);
  const hint = word.startsWith("ICMP")
    ? "ICMP has its own section, icmps"
    : "known are TCP, UDP, SCTP and ANY";
  return malformed(field, `${shown(text)} is no protocol with ports`, hint);
}

/** A name that nobody knows is an error: to Cilium such a rule matches nothing, and a deny rule must not do that. */
function namedPort(
  field: Field,
  name: string,
  protocols: readonly PortProtocol[],
  names: NamedPorts,
): PortSelector[] | undefined {
  const ports = protocols.flatMap((protocol): PortSelector[] => {
    const port = names(name, protocol);
    return port === undefined ? [] : [{ protocol, first: port, last: port }];
  });
  if (ports.length > 0) return ports;
  return malformed(
    field,
    `no port is named ${name} for ${protocols.join(", ")}`,
    "name it in the configuration or in /etc/services, or write its number",
  );
}

function icmpRuleOf(field: Field): PortSelector[] {
  const list = fieldsOf(field, icmpRuleSchema)?.get("fields");
  return limited(list, policyLimits.icmpTypes, "types").flatMap((item) => icmpOf(item) ?? []);
}

function icmpOf(field: Field): PortSelector | undefined {
  const fields = fieldsOf(field, icmpFieldSchema);
  if (fields === undefined) return undefined;
  const familyField = fields.get("family");
  const word = familyField === undefined ? "IPv4" : textOf(familyField);
  if (word === undefined) return undefined;
  if (familyField !== undefined && word !== "IPv4" && word !== "IPv6")
    return malformed(familyField, `${shown(word)} is no family`, "known are IPv4 and IPv6");
  const typeField = fields.get("type");
  if (typeField === undefined) return malformed(field, "type is missing");
  const type = icmpTypeOf(typeField, word as IcmpFamily);
  if (type === undefined) return undefined;
  const protocol = word === "IPv6" ? "icmpv6" : "icmp";
  return { protocol: protocol satisfies keyof typeof policyProtocols, first: type, last: type };
}

/** A number, quoted or not, or a name of that family. */
function icmpTypeOf(field: Field, family: IcmpFamily): number | undefined {
  const { tree } = field;
  if (tree.kind === "scalar" && tree.plain && /^[-+\d.]/.test(tree.text)) return numberOf(field, 0, 255);
  const text = textOf(field);
  if (text === undefined) return undefined;
  if (/^(?:0|[1-9]\d{0,2})$/.test(text) && Number(text) <= 255) return Number(text);
  const names: Readonly<Record<string, number>> = icmpTypes[family];
  if (Object.hasOwn(names, text)) return names[text];
  return malformed(
    field,
    `${shown(text)} is no ICMP type of ${family}`,
    `a number from 0 to 255, or ${Object.keys(names).slice(0, 6).join(", ")} and others`,
  );
}
