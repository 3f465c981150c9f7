/** The flows page: charts, map, filter, table and a flow's panel over one model, all of its state in the URL. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { Charts } from "./charts.tsx";
import { ChooseColumns, ChooseRange } from "./choose.tsx";
import { columnsOf } from "./columns.tsx";
import { Features, Help, type HelpKeys } from "./dialogs.tsx";
import { FilterBar } from "./filter.tsx";
import { useFlowDetail } from "./flow/detail.ts";
import { SidePanel } from "./flow/panel.tsx";
import { exact } from "./format.ts";
import { Bar, type LiveState, pageKeys, Rail } from "./frame.tsx";
import { useKeys } from "./keys.ts";
import { useLocation } from "./location.ts";
import { ServiceMap } from "./map/map.tsx";
import { FlowsModel } from "./model.ts";
import { type Filter, isLive, newestFirst, type SortKey, type View } from "./query.ts";
import { isoSecond } from "./range.ts";
import { rowLimit } from "./rows.ts";
import { Broken, Empty } from "./states.tsx";
import { Summary } from "./summary.tsx";
import { FlowTable } from "./table.tsx";
import { useTheme } from "./theme.ts";
import { TimeBar } from "./time-bar.tsx";
import { useWalk } from "./walk.ts";

type DialogName = "help" | "features" | "columns" | "range";

export function FlowsPage() {
  const { view, problems, path, go } = useLocation();
  const model = useMemo(() => new FlowsModel(), []);
  const [theme, flipTheme] = useTheme();
  const [moment, setMoment] = useState<number | null>(null);
  const [dialog, setDialog] = useState<DialogName>();
  useModel(model);
  useEffect(() => model.show(view), [path]);

  useEffect(() => {
    document.title = model.health === undefined ? "Flows" : `Flows on ${model.health.host}`;
  }, [model.health?.host]);

  const nowMs = useNow(model);
  const { rows, trouble, health } = model;
  const walk = useWalk(model, view, go);
  const detail = useFlowDetail(view.flow, model);
  const filterBy = (filter: Filter): void => go({ ...view, filter: { ...view.filter, ...filter } });
  const toggleLive = (): void =>
    go(
      isLive(view)
        ? { ...view, live: false }
        : { ...view, filter: { ...view.filter, until: undefined }, live: true },
    );
  const sortBy = (key: SortKey): void => {
    const descending = view.sort.key === key ? !view.sort.descending : descendingFirst.has(key);
    go({ ...view, sort: { key, descending } });
  };
  const cursorMs =
    moment === null ? (view.at === undefined ? undefined : Date.parse(view.at)) : moment * 1000;
  const select = (service: string | undefined): void => {
    const { service: _, ...rest } = view;
    go(service === undefined ? rest : { ...rest, service });
  };
  const size = (map: View["map"]): void => {
    const { map: _, ...rest } = view;
    go(map === undefined ? rest : { ...rest, map });
  };
  const pin = (seconds: number): void => {
    const at = isoSecond(Math.round(seconds) * 1000);
    const { at: before, ...rest } = view;
    go(at === before ? rest : { ...view, at });
  };
  const minuteAround = (): void => {
    if (cursorMs === undefined) return;
    const second = Math.round(cursorMs / 1000) * 1000;
    filterBy({ since: isoSecond(second - 30_000), until: isoSecond(second + 30_000) });
  };
  useKeys({
    ...pageKeys,
    ...walk.keys,
    "/": () => document.getElementById("search")?.focus(),
    f: () => document.getElementById("filter")?.focus(),
    "g f": () => go({ filter: {}, sort: newestFirst, live: true }),
    m: minuteAround,
    " ": toggleLive,
    t: flipTheme,
    "?": () => setDialog("help"),
  });

  const closeDialog = (): void => setDialog(undefined);
  const empty = model.listed && rows.size === 0;
  const large = view.map === "large";
  return (
    <>
      <Rail page="Flows" health={health} lostPackets={model.lostPackets} onHelp={() => setDialog("help")} />
      <Bar
        health={health}
        live={liveState(model, view)}
        theme={theme}
        range={
          <TimeBar
            filter={view.filter}
            onFilter={filterBy}
            onLive={() =>
              go({ ...view, filter: { ...view.filter, since: undefined, until: undefined }, live: true })
            }
            onCustom={() => setDialog("range")}
          />
        }
        onLive={toggleLive}
        onTheme={flipTheme}
        onFilter={filterBy}
      />
      <main>
        <FilterBar
          path={path}
          view={view}
          problems={problems}
          onView={go}
          onColumns={() => setDialog("columns")}
        />
        <div class={view.flow === undefined ? "lay" : "lay open"}>
          <div class="flows">
            <div class={`top map-${view.map ?? "small"}`}>
              <Charts
                model={model}
                view={view}
                nowMs={nowMs}
                moment={moment}
                theme={theme}
                onCursor={setMoment}
                onPin={pin}
                onRange={(from, to) =>
                  filterBy({
                    since: isoSecond(Math.floor(from) * 1000),
                    until: isoSecond(Math.ceil(to) * 1000),
                  })
                }
              />
              {view.map !== "off" && (
                <ServiceMap
                  rows={rows}
                  listed={model.listed}
                  scope={model.more ? `of the ${exact(rows.size)} newest flows` : "of these flows"}
                  host={health?.host}
                  size={large ? "large" : "small"}
                  selected={view.service}
                  onSelect={select}
                  onSize={(wanted) => size(wanted === "large" ? "large" : undefined)}
                  onFilter={filterBy}
                />
              )}
            </div>
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
                columns={columnsOf(view)}
                sort={view.sort}
                cursor={walk.cursor}
                selected={view.flow}
                momentMs={cursorMs}
                onSort={sortBy}
                onSelect={walk.open}
              />
            )}
            {rows.size > 0 && <p class="foot s">{foot(model)}</p>}
          </div>
          {view.flow !== undefined && (
            <SidePanel
              id={view.flow}
              detail={detail}
              nowMs={nowMs}
              onClose={walk.close}
              onFilter={filterBy}
              onService={select}
            />
          )}
        </div>
      </main>
      {dialog === "help" && (
        <Help keys={helpKeys} onClose={closeDialog}>
          Drag over a chart for the flows of that time, click to keep the cursor there. The table's order
          waits while the pointer is on it. In the map arrows walk, Enter selects, + − 0 scale.
        </Help>
      )}
      {dialog === "features" && health !== undefined && <Features health={health} onClose={closeDialog} />}
      {dialog === "columns" && <ChooseColumns view={view} onView={go} onClose={closeDialog} />}
      {dialog === "range" && (
        <ChooseRange filter={view.filter} nowMs={nowMs} onFilter={filterBy} onClose={closeDialog} />
      )}
    </>
  );
}

const helpKeys: HelpKeys = [
  ["/", "search: an address, name, :port, protocol, unit or process"],
  ["f", "edit the filter, which is the URL"],
  ["g f", "go to Flows, without a filter"],
  ["g p", "go to Policy"],
  ["↑ ↓", "walk through the table"],
  ["PgUp PgDn Home End", "walk further"],
  ["Enter", "open the flow's page"],
  ["Esc", "close what is open; let go of the table"],
  ["Space", "pause, go on"],
  ["m", "the flows of the minute around the cursor"],
  ["t", "light or dark"],
  ["?", "this list"],
];

/** What one looks for first: the largest and the latest; names from A. */
const descendingFirst: ReadonlySet<SortKey> = new Set([
  "start",
  "sent",
  "received",
  "packets",
  "duration",
  "rtt",
  "retransmits",
  "drops",
]);

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

function foot(model: FlowsModel): string {
  const shown = exact(model.rows.order.length);
  if (model.rows.forgotten > 0)
    return `${shown} flows kept in this page, the ${exact(model.rows.forgotten)} that ended first were let go.`;
  if (model.rows.size >= rowLimit)
    return `${shown} flows: as many as this page keeps. A filter shows the others.`;
  if (model.loading) return `${shown} flows, more are coming…`;
  return model.more ? `${shown} newest flows, the rest on scroll.` : `${shown} flows: all that match.`;
}
