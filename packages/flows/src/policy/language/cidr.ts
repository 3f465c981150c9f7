/** Prefixes: `10.0.0.0/8`, `2001:db8::/32`, and sets of them with exceptions and groups. */
import { isMappedIPv4, parseAddress } from "../../address.ts";
import { covers } from "../compile/prefix-tree.ts";
import type { Prefix } from "../model.ts";
import type { DraftPeer } from "./draft.ts";
import { type Field, fieldsOf, itemsOf, malformed, shown, textOf } from "./fields.ts";
import { cidrRuleSchema } from "./schema.ts";
import { selectorOf, subdomain } from "./selector.ts";

/** @param bare whether one address without a length will do, as in `fromCIDR`. Bits behind the prefix are cleared. */
export function prefixOf(field: Field, bare: boolean): Prefix | undefined {
  const text = textOf(field);
  if (text === undefined) return undefined;
  const prefix = parsePrefix(text, bare);
  if (prefix !== undefined) return prefix;
  return malformed(
    field,
    `${shown(text)} is no prefix`,
    `write it like 10.0.0.0/8 or 2001:db8::/32${bare ? ", or one address" : ""}`,
  );
}

function parsePrefix(text: string, bare: boolean): Prefix | undefined {
  const [host = "", length, ...rest] = text.split("/");
  const address = parseAddress(host);
  if (address === undefined || rest.length > 0) return undefined;
  const isIPv4 = !host.includes(":");
  /** IPv4 in the clothes of IPv6: Go, in which Cilium is written, matches it with neither family. */
  if (!isIPv4 && isMappedIPv4(address)) return undefined;
  if (length === undefined) return bare ? { bytes: address, bits: 128 } : undefined;
  const most = isIPv4 ? 32 : 128;
  if (!/^(?:0|[1-9]\d{0,2})$/.test(length) || Number(length) > most) return undefined;
  const bits = Number(length) + 128 - most;
  const bytes = address.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - 8 * index))));
  return { bytes, bits };
}

/** An item of `fromCIDRSet` or `toCIDRSet`. */
export function cidrRuleOf(field: Field): DraftPeer | undefined {
  const fields = fieldsOf(field, cidrRuleSchema);
  if (fields === undefined) return undefined;
  const given = ["cidr", "cidrGroupRef", "cidrGroupSelector"].filter((name) => fields.has(name));
  if (given.length !== 1)
    return malformed(
      field,
      given.length === 0
        ? "one of cidr, cidrGroupRef and cidrGroupSelector is needed"
        : `only one of ${given.join(" and ")} may be given`,
    );
  const list = fields.get("except");
  const exceptions = ((list && itemsOf(list)) ?? []).map((item) => ({ item, prefix: prefixOf(item, false) }));
  const except = exceptions.flatMap(({ prefix }) => prefix ?? []);
  const cidr = fields.get("cidr");
  if (cidr !== undefined) {
    const prefix = prefixOf(cidr, false);
    if (prefix === undefined) return undefined;
    for (const { item, prefix: inner } of exceptions)
      if (inner !== undefined && !(sameFamily(prefix, inner) && covers(prefix, inner)))
        malformed(item, "the exception is not within cidr");
    return { kind: "cidr", prefix, except };
  }
  const by = (fields.get("cidrGroupRef") ?? fields.get("cidrGroupSelector")) as Field;
  const group = fields.has("cidrGroupRef") ? groupNameOf(by) : selectorOf(by);
  if (group === undefined) return undefined;
  return { kind: "group", group, except, path: by.path, line: by.tree.line, column: by.tree.column };
}

const sameFamily = (a: Prefix, b: Prefix): boolean => isIPv4(a) === isIPv4(b);
const isIPv4 = ({ bytes, bits }: Prefix): boolean => bits >= 96 && isMappedIPv4(bytes);

function groupNameOf(field: Field): string | undefined {
  const name = textOf(field);
  if (name === undefined || subdomain.test(name)) return name;
  return malformed(field, `${shown(name)} is no name of a CiliumCIDRGroup`);
}
