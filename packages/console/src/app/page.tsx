/** The flows page: charts, filter, table and panel over one model, all of its state in the URL. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { Chart } from "./chart.tsx";
import { Features, Help } from "./dialogs.tsx";
import { FilterBar } from "./filter.tsx";
import { bytesPerSecond, clock, exact, perSecond } from "./format.ts";
import { Bar, type LiveState, Rail } from "./frame.tsx";
import { useKeys } from "./keys.ts";
import { useLocation } from "./location.ts";
import { FlowsModel } from "./model.ts";
import { SidePanel } from "./panel.tsx";
import { type Filter, isLive, type SortKey, type View } from "./query.ts";
import { rowLimit } from "./rows.ts";
import { ChartTable } from "./series-table.tsx";
import { Broken, Empty } from "./states.tsx";
import { Summary } from "./summary.tsx";
import { FlowTable } from "./table.tsx";
import { useTheme } from "./theme.ts";
import { useWalk } from "./walk.ts";

export function FlowsPage() {
  const { view, problems, path, go } = useLocation();
  const model = useMemo(() => new FlowsModel(), []);
  const [theme, flipTheme] = useTheme();
  const [moment, setMoment] = useState<number | null>(null);
  const [dialog, setDialog] = useState<"help" | "features">();
  useModel(model);
  useEffect(() => model.show(view), [path]);

  useEffect(() => {
    document.title = model.health === undefined ? "Flows" : `Flows on ${model.health.host}`;
  }, [model.health?.host]);

  const nowMs = useNow(model);
  const { rows, series, trouble, health } = model;
  const walk = useWalk(model, view, go);
  const filterBy = (filter: Filter): void => go({ ...view, filter: { ...view.filter, ...filter } });
  const toggleLive = (): void => {
    const { until: _, ...filter } = view.filter;
    go(isLive(view) ? { ...view, live: false } : { ...view, filter, live: true });
  };
  const sortBy = (key: SortKey): void => {
    const descending = view.sort.key === key ? !view.sort.descending : descendingFirst.has(key);
    go({ ...view, sort: { key, descending } });
  };
  useKeys({
    ...walk.keys,
    "/": () => document.getElementById("search")?.focus(),
    f: () => document.getElementById("filter")?.focus(),
    " ": toggleLive,
    t: flipTheme,
    "?": () => setDialog("help"),
  });

  const point = moment === null ? series.latest : series.at(moment);
  const chart = {
    series,
    theme,
    now: Math.floor(nowMs / 1000),
    label: moment === null ? "now" : clock(moment * 1000),
    range: rangeOf(view.filter),
    onCursor: setMoment,
    onRange: (from: number, to: number) =>
      filterBy({ since: isoSecond(Math.floor(from)), until: isoSecond(Math.ceil(to)) }),
  };
  const stale = moment === null && (trouble !== undefined || !model.live);
  const label = stale && series.latest !== undefined ? clock(Date.parse(series.latest.time)) : chart.label;
  const empty = model.listed && rows.size === 0;
  return (
    <>
      <Rail health={health} lostPackets={model.lostPackets} onHelp={() => setDialog("help")} />
      <Bar
        health={health}
        live={liveState(model, view)}
        theme={theme}
        onLive={toggleLive}
        onTheme={flipTheme}
        onFilter={filterBy}
      />
      <main>
        <FilterBar path={path} view={view} problems={problems} onView={go} />
        <div class={view.sel === undefined ? "lay" : "lay open"}>
          <div class="flows">
            <div class="top">
              <Chart
                {...chart}
                label={label}
                title="Bytes"
                scope="layer-3 bytes/s, whole host"
                column="bytes"
                value={point?.bytesPerSecond ?? null}
                format={bytesPerSecond}
                exact={(value) => exact(value, "B/s")}
              />
              <Chart
                {...chart}
                label={label}
                title="Packets"
                scope="packets/s, whole host"
                column="packets"
                value={point?.packetsPerSecond ?? null}
                format={perSecond}
                exact={(value) => exact(value, "packets/s")}
              />
            </div>
            <ChartTable series={series} />
            <Summary
              model={model}
              view={view}
              onFeatures={() => setDialog("features")}
              onRelease={walk.release}
            />
            {trouble !== undefined && (
              <Broken trouble={trouble} nowMs={Date.now()} onRetry={() => model.reconnect()} />
            )}
            {empty && trouble === undefined && <Empty model={model} view={view} onView={go} />}
            {(rows.size > 0 || (!model.listed && trouble === undefined)) && (
              <FlowTable
                model={model}
                sort={view.sort}
                cursor={walk.cursor}
                selected={view.sel}
                momentMs={moment === null ? undefined : moment * 1000}
                onSort={sortBy}
                onSelect={walk.open}
              />
            )}
            {rows.size > 0 && <p class="foot s">{foot(model)}</p>}
          </div>
          {view.sel !== undefined && (
            <SidePanel
              id={view.sel}
              flow={rows.get(view.sel)?.flow}
              loading={!model.listed || model.loading}
              nowMs={nowMs}
              onClose={walk.close}
              onFilter={filterBy}
            />
          )}
        </div>
      </main>
      {dialog === "help" && <Help onClose={() => setDialog(undefined)} />}
      {dialog === "features" && health !== undefined && (
        <Features health={health} onClose={() => setDialog(undefined)} />
      )}
    </>
  );
}

/** What one looks for first: the largest and the latest; names from A. */
const descendingFirst: ReadonlySet<SortKey> = new Set(["start", "sent", "received", "packets", "duration"]);

function useModel(model: FlowsModel): void {
  const [, setVersion] = useState(0);
  useEffect(() => model.onChange(() => setVersion((version) => version + 1)), []);
}

/** The node's clock, which may differ from the browser's; it stands while nothing comes in. */
function useNow(model: FlowsModel): number {
  const [, setTick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setTick((tick) => tick + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  return model.live || model.series.latest === undefined
    ? model.nodeTimeMs()
    : Date.parse(model.series.latest.time);
}

function liveState(model: FlowsModel, view: View): LiveState {
  if (model.trouble !== undefined) return "broken";
  if (view.filter.until !== undefined) return "past";
  if (!view.live) return "paused";
  return model.held.size > 0 ? "held" : "live";
}

/** A second as the URL says it. */
function isoSecond(second: number): string {
  return new Date(second * 1000).toISOString().replace(".000Z", "Z");
}

function rangeOf({ since = "", until = "" }: Filter): readonly [number, number] | undefined {
  const from = Date.parse(since) / 1000;
  const to = Date.parse(until) / 1000;
  return Number.isNaN(from) || Number.isNaN(to) ? undefined : [from, to];
}

function foot(model: FlowsModel): string {
  const shown = exact(model.rows.order.length);
  if (model.rows.forgotten > 0)
    return `${shown} flows kept in this page, the ${exact(model.rows.forgotten)} that ended first were let go.`;
  if (model.rows.size >= rowLimit)
    return `${shown} flows: as many as this page keeps. A filter shows the others.`;
  if (model.loading) return `${shown} flows, more are coming…`;
  return model.more ? `${shown} newest flows, the rest on scroll.` : `${shown} flows: all that match.`;
}
