/**
 * What the page shows, as its URL says it: filters of `GET /api/v1/flows`, selection, order, live.
 * The query string is the only place where this state lives; the filter bar and the address bar both edit it.
 */

export const filterKeys = ["ip", "port", "protocol", "process", "since", "until"] as const;
export type FilterKey = (typeof filterKeys)[number];
export type Filter = Readonly<Partial<Record<FilterKey, string>>>;

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
] as const;
export type SortKey = (typeof sortKeys)[number];

export interface Sort {
  readonly key: SortKey;
  readonly descending: boolean;
}

export interface View {
  readonly filter: Filter;
  readonly sort: Sort;
  /** Id of the flow in the side panel. */
  readonly sel?: string;
  readonly live: boolean;
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

const checks: Readonly<Record<FilterKey, (value: string) => string | undefined>> = {
  ip: (value) => (looksLikeAddress(value) ? undefined : "is not an address or prefix (10.0.0.0/8)"),
  port: (value) =>
    /^\d{1,5}$/.test(value) && Number(value) <= 65535 ? undefined : "is not a port (0 to 65535)",
  protocol: () => undefined,
  process: () => undefined,
  since: checkMoment,
  until: checkMoment,
};

function checkMoment(value: string): string | undefined {
  const known = /^(\d+(\.\d+)?(ms|[smhdw]))+$/.test(value) || !Number.isNaN(Date.parse(value));
  return known ? undefined : "is not a time (15m, 2h or 2026-01-31T08:00:00Z)";
}

export function parseView(search: string): Parsed {
  const filter: Partial<Record<FilterKey, string>> = {};
  const problems: string[] = [];
  let sort = newestFirst;
  let sel: string | undefined;
  let live = true;
  for (const [key, value] of new URLSearchParams(search)) {
    if (value === "") continue;
    if (isFilterKey(key)) {
      const problem = checks[key](value);
      if (problem === undefined) filter[key] = value;
      else problems.push(`${key}: "${value}" ${problem}`);
    } else if (key === "sort") {
      const name = value.replace(/^-/, "");
      if (isSortKey(name)) sort = { key: name, descending: value.startsWith("-") };
      else problems.push(`sort: "${value}" is none of ${sortKeys.join(", ")}`);
    } else if (key === "sel") sel = value;
    else if (key === "live") live = value !== "off";
    else problems.push(`"${key}" is none of ${[...filterKeys, "sort", "sel", "live"].join(", ")}`);
  }
  return { view: { filter, sort, live, ...(sel === undefined ? {} : { sel }) }, problems };
}

/** The shortest query string that `parseView` reads back as `view`: "" or "?…". */
export function formatView(view: View): string {
  const pairs: [string, string][] = [];
  for (const key of filterKeys) if (view.filter[key] !== undefined) pairs.push([key, view.filter[key]]);
  if (!isNewestFirst(view.sort)) pairs.push(["sort", `${view.sort.descending ? "-" : ""}${view.sort.key}`]);
  if (view.sel !== undefined) pairs.push(["sel", view.sel]);
  if (!view.live) pairs.push(["live", "off"]);
  return pairs.length === 0 ? "" : `?${pairs.map(([name, value]) => `${name}=${encode(value)}`).join("&")}`;
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

function shellWord(value: string): string {
  return /^[\w.:/@%+,=-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
}

/** Percent-encodes what would change the meaning, and leaves addresses and times readable. */
function encode(value: string): string {
  return encodeURIComponent(value).replace(/%(3A|2F|40|2C)/g, (code) => decodeURIComponent(code));
}

function isFilterKey(key: string): key is FilterKey {
  return (filterKeys as readonly string[]).includes(key);
}

function isSortKey(key: string): key is SortKey {
  return (sortKeys as readonly string[]).includes(key);
}
