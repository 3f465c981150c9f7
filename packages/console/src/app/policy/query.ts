/** What the policy page shows, as its URL says it: whose matrix, which verdicts, what is open at the right. */
import { type Decision, type Direction, decisions, directions } from "./shapes.ts";

export const ruleSorts = ["decision", "policy", "flows", "packets", "bytes", "rate"] as const;
export type RuleSort = (typeof ruleSorts)[number];

export interface PolicyView {
  /** Into the endpoint or out of it. */
  readonly direction: Direction;
  /** A workload of this host; else the node. */
  readonly endpoint?: string;
  /** Only these verdicts. */
  readonly decision?: Decision;
  readonly sort: { readonly key: RuleSort; readonly descending: boolean };
  /** Name of the document at the right, and its kind where several have that name. */
  readonly document?: string;
  readonly kind?: string;
  /** Row and column of the cell at the right. */
  readonly peer?: string;
  readonly port?: string;
  readonly panel?: "rehearse";
  readonly live: boolean;
}

export const mostPackets: PolicyView["sort"] = { key: "packets", descending: true };
export const plainView: PolicyView = { direction: "ingress", sort: mostPackets, live: true };

type Parts = { -readonly [Key in keyof PolicyView]?: PolicyView[Key] };
type Read = (value: string, parts: Parts) => string | undefined;

function oneOf<K extends keyof PolicyView>(key: K, list: readonly string[]): Read {
  return (value, parts) => {
    if (!list.includes(value)) return `is none of ${list.join(", ")}`;
    parts[key] = value as PolicyView[K];
    return undefined;
  };
}

const text =
  (key: "endpoint" | "document" | "kind" | "peer" | "port"): Read =>
  (value, parts) => {
    parts[key] = value;
    return undefined;
  };

const readers: Readonly<Record<keyof PolicyView, Read>> = {
  direction: oneOf("direction", directions),
  endpoint: text("endpoint"),
  decision: oneOf("decision", decisions),
  sort: (value, parts) => {
    const key = ruleSorts.find((one) => one === value.replace(/^-/, ""));
    if (key === undefined) return `is none of ${ruleSorts.join(", ")}`;
    parts.sort = { key, descending: value.startsWith("-") };
    return undefined;
  },
  document: text("document"),
  kind: text("kind"),
  peer: text("peer"),
  port: text("port"),
  panel: oneOf("panel", ["rehearse"]),
  live: (value, parts) => {
    parts.live = value !== "off";
    return undefined;
  },
};

export function parsePolicyView(search: string): {
  readonly view: PolicyView;
  /** What in the text has no meaning here; such parts are left out of `view`. */
  readonly problems: readonly string[];
} {
  const parts: Parts = {};
  const problems: string[] = [];
  for (const [key, value] of new URLSearchParams(search)) {
    if (value === "") continue;
    if (!Object.hasOwn(readers, key)) {
      problems.push(`"${key}" is none of ${Object.keys(readers).join(", ")}`);
      continue;
    }
    const problem = readers[key as keyof PolicyView](value, parts);
    if (problem !== undefined) problems.push(`${key}: "${value}" ${problem}`);
  }
  return { view: { ...plainView, ...parts }, problems };
}

/** The shortest query string that `parsePolicyView` reads back as `view`. */
export function formatPolicyView(view: PolicyView): string {
  const { direction, sort, live } = view;
  const isUsual = sort.key === mostPackets.key && sort.descending;
  const pairs: readonly (readonly [string, string | undefined])[] = [
    ["direction", direction === plainView.direction ? undefined : direction],
    ["endpoint", view.endpoint],
    ["decision", view.decision],
    ["sort", isUsual ? undefined : `${sort.descending ? "-" : ""}${sort.key}`],
    ["document", view.document],
    ["kind", view.kind],
    ["peer", view.peer],
    ["port", view.port],
    ["panel", view.panel],
    ["live", live ? undefined : "off"],
  ];
  const said = pairs.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${encode(value)}`]));
  return said.length === 0 ? "" : `?${said.join("&")}`;
}

/** The view with nothing open at the right. */
export function closed(view: PolicyView): PolicyView {
  const { document: _, kind: __, peer: ___, port: ____, panel: _____, ...rest } = view;
  return rest;
}

/** Percent-encodes what would change the meaning, and leaves names and addresses readable. */
function encode(value: string): string {
  return encodeURIComponent(value).replace(/%(3A|2F|40|2C)/g, (code) => decodeURIComponent(code));
}
