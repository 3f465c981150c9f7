/**
 * Everything the page knows, kept up to date from the node: the list for what was, the stream for what changes,
 * again both after every interruption. Views read it when it says that it changed.
 */
import { ApiError, getJson, listen } from "./api.ts";
import {
  apiQuery,
  type Filter,
  followQuery,
  isLive,
  isNewestFirst,
  newestFirst,
  type View,
} from "./query.ts";
import { FlowRows, rowLimit } from "./rows.ts";
import { Series } from "./series.ts";
import type { FlowEvent, FlowList, Health, TotalsList } from "./shapes.ts";

const pageSize = 1000;
/** A browser takes some 80 ms to read so many: more at once would be felt. */
const fullPageSize = 5000;
/** Of a range so many are fetched unasked, for its chart; the rest comes with scrolling. */
const rangeFlows = 30_000;
/** Changes are shown together, so that a busy node costs the browser no more than a quiet one. */
const showEveryMs = 200;
/** An event reaches the node's record a second or two after it is told; a flow that is opened meanwhile needs it too. */
const recentInsights = 500;
const retryAfterMs = [1000, 2000, 5000];

export interface Trouble {
  readonly error: ApiError;
  readonly sinceMs: number;
}

export class FlowsModel {
  rows = new FlowRows(newestFirst);
  readonly series = new Series();
  health: Health | undefined;
  covers: FlowList["covers"] | undefined;
  trouble: Trouble | undefined;
  /** The first list of this filter has come. */
  listed = false;
  loading = false;
  live = false;
  /** The node's clock less the browser's. */
  #aheadMs = 0;
  #more: string | null = null;
  #oldestMs = Number.POSITIVE_INFINITY;
  #filter: Filter | undefined;
  #sort = newestFirst;
  #holds = new Set<string>();
  #listeners = new Set<() => void>();
  #insights = new Set<(event: FlowEvent) => void>();
  readonly #recent: FlowEvent[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #stop: () => void = () => {};
  #abort = new AbortController();

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tells what happens on flows, as long as the page is live, and first what has just happened. */
  onInsight(listener: (event: FlowEvent) => void): () => void {
    this.#recent.forEach(listener);
    this.#insights.add(listener);
    return () => this.#insights.delete(listener);
  }

  show(view: View): void {
    const filterChanged = JSON.stringify(view.filter) !== JSON.stringify(this.#filter);
    const sortChanged = view.sort.key !== this.#sort.key || view.sort.descending !== this.#sort.descending;
    const live = isLive(view);
    this.#filter = view.filter;
    this.#sort = view.sort;
    if (filterChanged) {
      this.rows = new FlowRows(view.sort);
      this.listed = false;
      this.covers = undefined;
      this.#holds.delete("keys");
    } else if (sortChanged) this.rows.sort(view.sort);
    if (filterChanged || live !== this.live) {
      this.live = live;
      this.#failures = 0;
      this.#connect();
    } else if (sortChanged && this.listed) void this.#guarded(() => this.#loadAll());
    this.#changed(true);
  }

  /** Holds the table's order for as long as any reason does. */
  hold(reason: string, held: boolean): void {
    if (held === this.#holds.has(reason)) return;
    if (held) this.#holds.add(reason);
    else this.#holds.delete(reason);
    this.#changed(true);
  }

  get held(): ReadonlySet<string> {
    return this.#holds;
  }

  /** The node has older flows of this filter than are loaded. */
  get more(): boolean {
    return this.#more !== null && this.rows.size < rowLimit;
  }

  /** Before this moment flows of this filter are not loaded; 0 when all are. */
  get loadedFromMs(): number {
    return this.#more === null ? 0 : this.#oldestMs;
  }

  /** Asked for a stretch of time, not for all there is. */
  get isRange(): boolean {
    return this.#filter?.since !== undefined;
  }

  get lostPackets(): number | undefined {
    const inRecord = this.covers?.lostPackets;
    return this.isRange ? inRecord : (this.series.latest?.lostPackets ?? inRecord);
  }

  get lostEvents(): number {
    const inRecord = this.covers?.lostEvents ?? 0;
    return this.isRange ? inRecord : Math.max(inRecord, this.series.latest?.lostEvents ?? 0);
  }

  nodeTimeMs(): number {
    return Date.now() + this.#aheadMs;
  }

  loadMore(): Promise<void> {
    return this.#guarded(() => this.#load(pageSize));
  }

  reconnect(): void {
    this.#failures = 0;
    this.#connect();
  }

  #connect(): void {
    this.#stop();
    clearTimeout(this.#retry);
    this.#abort.abort();
    this.#abort = new AbortController();
    this.loading = false;
    if (!this.live) {
      this.#stop = () => {};
      void this.#guarded(() => this.#start());
      return;
    }
    this.#stop = listen(`/api/v1/flows/follow${followQuery(this.#filter ?? {})}`, {
      // The list follows the stream's opening: a flow between the two is in both, never in neither.
      open: () => void this.#guarded(() => this.#start()),
      flow: (change) => {
        this.rows.put(change.flow);
        this.#changed();
      },
      totals: (totals) => {
        this.series.put([totals]);
        this.#aheadMs = Date.parse(totals.time) - Date.now();
        this.#changed();
      },
      insight: (event) => {
        if (this.#recent.push(event) > recentInsights) this.#recent.shift();
        for (const listener of this.#insights) listener(event);
      },
      lost: () => void this.#guarded(() => this.#load(pageSize, true)),
      down: () => void this.#broken(),
    });
  }

  async #start(): Promise<void> {
    const { signal } = this.#abort;
    const asked = getJson<Health>("/api/v1/health", signal);
    // What was active when the node ended is told anew, as far as it was on record.
    if (this.health !== undefined && this.health.start !== (await asked).start) {
      this.rows = new FlowRows(this.#sort);
      this.listed = false;
    }
    const [health, totals] = await Promise.all([
      asked,
      getJson<TotalsList>("/api/v1/flows/totals", signal),
      this.#load(pageSize, true),
    ]);
    this.health = health;
    this.series.put(totals.points);
    this.trouble = undefined;
    this.#failures = 0;
    this.#changed(true);
    await this.#loadAll();
  }

  /** An order other than by time is only true over all flows, so all are fetched; of a range enough for its chart. */
  async #loadAll(): Promise<void> {
    const ranged = this.isRange ? rangeFlows : 0;
    const wanted = isNewestFirst(this.#sort) ? ranged : rowLimit;
    while (this.more && !this.loading && this.rows.size < wanted) await this.#load(fullPageSize);
  }

  async #load(limit: number, fromNewest = false): Promise<void> {
    if (this.loading || !(fromNewest || this.more)) return;
    const { rows } = this;
    // Older pages go below what stands and move nothing, as long as the order is that of time.
    const older = !fromNewest && isNewestFirst(this.#sort);
    const { signal } = this.#abort;
    this.loading = true;
    const after = fromNewest || this.#more === null ? {} : { after: this.#more };
    try {
      const query = apiQuery(this.#filter ?? {}, { limit: String(limit), ...after });
      const list = await getJson<FlowList>(`/api/v1/flows${query}`, signal);
      for (const flow of list.flows) {
        if (older) rows.putLast(flow);
        else rows.put(flow);
      }
      if (!this.listed) rows.settle();
      this.#more = list.next;
      this.#oldestMs = Date.parse(list.flows.at(-1)?.start ?? "");
      if (fromNewest) this.covers = list.covers;
      this.listed = true;
    } finally {
      if (!signal.aborted) this.loading = false;
    }
    this.#changed(fromNewest);
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    const { signal } = this.#abort;
    try {
      await work();
    } catch (error) {
      if (signal.aborted) return;
      this.#fail(error instanceof ApiError ? error : new ApiError(0, "", String(error)));
    }
  }

  /** A broken stream does not tell why; an ordinary request does. */
  async #broken(): Promise<void> {
    await this.#guarded(async () => {
      const { signal } = this.#abort;
      this.health ??= await getJson<Health>("/api/v1/health", signal);
      await getJson<FlowList>(`/api/v1/flows${apiQuery(this.#filter ?? {}, { limit: "1" })}`, signal);
      throw new ApiError(0, "", "The live stream ended.");
    });
  }

  #fail(error: ApiError): void {
    this.#stop();
    this.trouble = { error, sinceMs: this.trouble?.sinceMs ?? Date.now() };
    const wait = retryAfterMs[Math.min(this.#failures++, retryAfterMs.length - 1)];
    clearTimeout(this.#retry);
    // A refusal of what was asked stays one until the question changes.
    if (error.status !== 400) this.#retry = setTimeout(() => this.#connect(), wait);
    this.#changed(true);
  }

  #changed(now = false): void {
    if (now) {
      clearTimeout(this.#timer);
      this.#show();
    } else this.#timer ??= setTimeout(() => this.#show(), showEveryMs);
  }

  #show(): void {
    this.#timer = undefined;
    if (this.#holds.size === 0 || !this.listed) this.rows.settle();
    for (const listener of this.#listeners) listener();
  }
}
