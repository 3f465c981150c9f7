/**
 * What the page shows, as its URL says it: filters of `GET /api/v1/flows`, selection, order, live.
 * The query string is the only place where this state lives; the filter bar and the address bar both edit it.
 */
import { isVisible } from "./visible.ts";

export const filterKeys = [
  "ip",
  "port",
  "protocol",
  "process",
  "unit",
  "container",
  "name",
  "dropped",
  "verdict",
  "since",
  "until",
] as const;
export type FilterKey = (typeof filterKeys)[number];
/** An undefined value is as good as none: spread over a filter it takes one away. */
export type Filter = Readonly<Partial<Record<FilterKey, string | undefined>>>;

export const sortKeys = [
  "start",
  "source",
  "destination",
  "protocol",
  "process",
  "sent",
  "received",
  "packets",
  "duration",
  "interface",
  "application",
  "rtt",
  "retransmits",
  "drops",
] as const;
export type SortKey = (typeof sortKeys)[number];

/** What a line of the table can show: all that sorts, and the state. */
export const columnKeys = [
  "start",
  "source",
  "destination",
  "protocol",
  "application",
  "process",
  "state",
  "sent",
  "received",
  "packets",
  "rtt",
  "retransmits",
  "drops",
  "duration",
  "interface",
] as const satisfies readonly (SortKey | "state")[];
export type ColumnKey = (typeof columnKeys)[number];

export const mapSizes = ["off", "large"] as const;

export interface Sort {
  readonly key: SortKey;
  readonly descending: boolean;
}

export interface View {
  readonly filter: Filter;
  readonly sort: Sort;
  /** Id of the flow in the side panel. */
  readonly flow?: string;
  readonly live: boolean;
  /** Columns that were chosen; without a choice the width of the screen decides. */
  readonly columns?: readonly ColumnKey[];
  /** The moment that the cursor stands at, as ISO 8601. */
  readonly at?: string;
  /** Key of the service or host that is selected in the map. */
  readonly service?: string;
  /** Small unless said. */
  readonly map?: (typeof mapSizes)[number];
}

export interface Parsed {
  readonly view: View;
  /** What in the text has no meaning here; such parts are left out of `view`. */
  readonly problems: readonly string[];
}

export const newestFirst: Sort = { key: "start", descending: true };
const ipv4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$|\/)|(?=$|\/))){4}(?:\/(?:3[0-2]|[12]?\d))?$/;

/** An IPv4 or IPv6 address or prefix, as far as its form tells; the node decides. */
export function looksLikeAddress(text: string): boolean {
  if (ipv4.test(text)) return true;
  const [address, length, ...rest] = text.split("/");
  if (address === undefined || rest.length > 0 || !/^[0-9a-f:.]+$/i.test(address)) return false;
  if (length !== undefined && !(/^\d{1,3}$/.test(length) && Number(length) <= 128)) return false;
  const groups = address.split(":");
  return groups.length >= 3 && groups.length <= 8 + (address.includes("::") ? 1 : 0);
}

const verdicts = ["forwarded", "audit", "dropped"] as const;

const checks: Readonly<Record<FilterKey, (value: string) => string | undefined>> = {
  ip: (value) => (looksLikeAddress(value) ? undefined : "is not an address or prefix (10.0.0.0/8)"),
  port: (value) =>
    /^\d{1,5}$/.test(value) && Number(value) <= 65535 ? undefined : "is not a port (0 to 65535)",
  protocol: () => undefined,
  process: () => undefined,
  unit: () => undefined,
  container: () => undefined,
  name: () => undefined,
  dropped: (value) => (value === "true" || value === "false" ? undefined : "is neither true nor false"),
  verdict: (value) =>
    isOneOf(verdicts, value) ? undefined : `is none of ${verdicts.join(", ")} (what policy decided)`,
  since: checkMoment,
  until: checkMoment,
};

function checkMoment(value: string): string | undefined {
  const known = /^(\d+(\.\d+)?(ms|[smhdw]))+$/.test(value) || !Number.isNaN(Date.parse(value));
  return known ? undefined : "is not a time (15m, 2h or 2026-01-31T08:00:00Z)";
}

const viewKeys = ["sort", "flow", "live", "columns", "at", "service", "map"] as const;
type ViewKey = (typeof viewKeys)[number];
type ViewParts = { -readonly [Key in keyof View]?: View[Key] };

/** Each reads one value into the view; what has no meaning it returns as a problem. */
const readers: Readonly<Record<ViewKey, (value: string, view: ViewParts) => string | undefined>> = {
  sort: (value, view) => {
    const key = value.replace(/^-/, "");
    if (!isOneOf(sortKeys, key)) return `is none of ${sortKeys.join(", ")}`;
    view.sort = { key, descending: value.startsWith("-") };
    return undefined;
  },
  flow: (value, view) => {
    view.flow = value;
    return undefined;
  },
  live: (value, view) => {
    view.live = value !== "off";
    return undefined;
  },
  columns: (value, view) => {
    const columns = [...new Set(value.split(","))];
    if (!columns.every((key) => isOneOf(columnKeys, key))) return `may list ${columnKeys.join(", ")}`;
    view.columns = columns;
    return undefined;
  },
  at: (value, view) => {
    if (Number.isNaN(Date.parse(value))) return "is not a time (2026-01-31T08:00:00Z)";
    view.at = value;
    return undefined;
  },
  service: (value, view) => {
    view.service = value;
    return undefined;
  },
  map: (value, view) => {
    if (!isOneOf(mapSizes, value)) return `is none of ${mapSizes.join(", ")}`;
    view.map = value;
    return undefined;
  },
};

export function parseView(search: string): Parsed {
  const filter: Partial<Record<FilterKey, string>> = {};
  const problems: string[] = [];
  const parts: ViewParts = {};
  for (const [key, value] of new URLSearchParams(search)) {
    if (value === "") continue;
    let problem: string | undefined;
    if (isOneOf(filterKeys, key)) {
      problem = checks[key](value);
      if (problem === undefined) filter[key] = value;
    } else if (isOneOf(viewKeys, key)) problem = readers[key](value, parts);
    else problems.push(`"${key}" is none of ${[...filterKeys, ...viewKeys].join(", ")}`);
    if (problem !== undefined) problems.push(`${key}: "${value}" ${problem}`);
  }
  return { view: { sort: newestFirst, live: true, ...parts, filter }, problems };
}

/** The shortest query string that `parseView` reads back as `view`: "" or "?…". */
export function formatView(view: View): string {
  const pairs: [string, string | undefined][] = [
    ...filterKeys.map((key): [string, string | undefined] => [key, view.filter[key]]),
    ["sort", isNewestFirst(view.sort) ? undefined : `${view.sort.descending ? "-" : ""}${view.sort.key}`],
    ["columns", view.columns?.join(",")],
    ["map", view.map],
    ["service", view.service],
    ["at", view.at],
    ["flow", view.flow],
    ["live", view.live ? undefined : "off"],
  ];
  const said = pairs.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${encode(value)}`]));
  return said.length === 0 ? "" : `?${said.join("&")}`;
}

/** The query string of the node's routes. */
export function apiQuery(filter: Filter, more: Readonly<Record<string, string>> = {}): string {
  const query = new URLSearchParams(more);
  for (const key of filterKeys) if (filter[key] !== undefined) query.set(key, filter[key]);
  return query.size === 0 ? "" : `?${query}`;
}

/** The query string of the live stream, where `since` says nothing: what is still to come is later. */
export function followQuery({ since: _, until: __, ...filter }: Filter): string {
  return apiQuery(filter, { updates: "true" });
}

/** The command that shows the same flows in a terminal. */
export function command(filter: Filter, more: string = ""): string {
  const options = filterKeys.flatMap((key) => {
    const value = filter[key];
    return value === undefined ? [] : [`--${key} ${shellWord(value)}`];
  });
  return ["x0 flows observe", ...options, ...(more === "" ? [] : [more])].join(" ");
}

/** Live changes are shown unless they are switched off or the range has an end. */
export function isLive(view: View): boolean {
  return view.live && view.filter.until === undefined;
}

export function isNewestFirst(sort: Sort): boolean {
  return sort.key === newestFirst.key && sort.descending;
}

/** As one word of a shell. What a terminal would act on while it is pasted is written as an escape. */
export function shellWord(value: string): string {
  if (/^[\w.:/@%+,=-]+$/.test(value)) return value;
  if (isVisible(value)) return `'${value.replaceAll("'", "'\\''")}'`;
  const escaped = value.replace(/['\\]/g, "\\$&").replace(/[^ -~]/gu, (character) => {
    const code = (character.codePointAt(0) as number).toString(16);
    return `\\U${code.padStart(8, "0")}`;
  });
  return `$'${escaped}'`;
}

/** Percent-encodes what would change the meaning, and leaves addresses and times readable. */
function encode(value: string): string {
  return encodeURIComponent(value).replace(/%(3A|2F|40|2C)/g, (code) => decodeURIComponent(code));
}

function isOneOf<const T extends string>(list: readonly T[], text: string): text is T {
  return (list as readonly string[]).includes(text);
}
