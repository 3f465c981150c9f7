/** What the page says when there is nothing to see, or when something does not work: what, why, since when, the command. */
import { Copy } from "./copy.tsx";
import { ago, bytesPerSecond, clock, count } from "./format.ts";
import { Badge } from "./icons.tsx";
import type { FlowsModel, Trouble } from "./model.ts";
import { command, type FilterKey, filterKeys, type View } from "./query.ts";
import { rangeOf } from "./range.ts";
import type { Feature, Health } from "./shapes.ts";
import { visible } from "./visible.ts";

export function Broken({ trouble, nowMs, onRetry }: { trouble: Trouble; nowMs: number; onRetry(): void }) {
  const { error, sinceMs } = trouble;
  const { what, why, next } = explain(error.status);
  return (
    <section class="state broken">
      <div role="alert">
        <h2>
          <Badge mark="error">{what}</Badge>
        </h2>
        <p>{why}</p>
      </div>
      <p>
        Since {clock(sinceMs)}, {ago(nowMs - sinceMs)}.
      </p>
      <Copy class="cmd" text={next} />
      <p class="note">
        {error.code !== "" && `${error.code}: `}
        {error.message}
        {error.hint !== null && <br />}
        {error.hint}
      </p>
      <button type="button" onClick={onRetry}>
        try now
      </button>
    </section>
  );
}

function explain(status: number): { what: string; why: string; next: string } {
  if (status === 0)
    return {
      what: "The node does not answer",
      why: "What is shown is what it last said; the page asks again by itself.",
      next: "x0 up",
    };
  if (status === 401 || status === 403)
    return {
      what: "This browser has no access",
      why: "Open the address that the node printed when it started: it carries the token.",
      next: "x0 up",
    };
  if (status === 400)
    return { what: "The node refuses this filter", why: "Change it above.", next: "x0 flows observe --help" };
  if (status === 501)
    return {
      what: "This node does not observe flows",
      why: "The node runs, but its kernel or its privileges do not allow it.",
      next: "x0 doctor",
    };
  if (status === 503)
    return {
      what: "The node is not ready",
      why: "It is starting or stopping; the page asks again by itself.",
      next: "x0 up",
    };
  return { what: "The node failed", why: "The page asks again by itself.", next: "x0 doctor" };
}

interface EmptyProps {
  readonly model: FlowsModel;
  readonly view: View;
  onView(view: View): void;
}

export function Empty({ model, view, onView }: EmptyProps) {
  const filters = filterKeys.filter((key) => view.filter[key] !== undefined);
  const off = troubled(model.health).find(
    ({ feature }) => feature.state === "off" || feature.state === "failed",
  );
  return (
    <section class="state">
      <h2>{filters.length > 0 ? "No flow matches" : "No flow yet"}</h2>
      <p>{reason(model, view, filters)}</p>
      {filters.length === 0 && off !== undefined && (
        <p class="note">
          {off.feature.name} is {off.feature.state}: {off.feature.reason}
          <br />
          {off.feature.hint}
        </p>
      )}
      <Copy
        class="cmd"
        text={filters.length > 0 ? command({ ...view.filter, since: "24h" }) : "ping -c 3 127.0.0.1"}
      />
      {filters.map((key) => (
        <button
          type="button"
          class="l"
          key={key}
          onClick={() => onView({ ...view, filter: { ...view.filter, [key]: undefined } })}
        >
          clear {key}
        </button>
      ))}
    </section>
  );
}

function reason(model: FlowsModel, view: View, filters: readonly FilterKey[]): string {
  const wanted = filters.map((key) => `${key} ${visible(view.filter[key] ?? "")}`).join(", ");
  const host = model.series.latest;
  const now =
    host === undefined
      ? ""
      : ` The host moves ${bytesPerSecond(host.bytesPerSecond)} in ${count(host.activeFlows)} active flows.`;
  const none = filters.length > 0 ? `None was seen with ${wanted}` : "The node has seen no packet";
  const { covers } = model;
  if (covers === undefined) return `${none}.${now}`;
  const span = `from ${clock(Date.parse(covers.from))} to ${clock(Date.parse(covers.to))}`;
  const gaps = covers.gaps?.length ?? 0;
  const missing = [
    ...((model.lostPackets ?? 0) > 0 ? [`${count(model.lostPackets ?? 0)} packets were lost`] : []),
    ...(model.lostEvents > 0 ? [`${count(model.lostEvents)} events were lost`] : []),
    ...(gaps > 0 ? [`the record has ${gaps === 1 ? "a gap" : `${gaps} gaps`}`] : []),
  ];
  const complete = missing.length === 0 ? "the record is complete: 0 lost" : missing.join(", ");
  const range = rangeOf(view.filter, model.nodeTimeMs());
  // What was asked for, less a list's own delay.
  const earlier = range !== undefined && range.fromMs + 5000 < Date.parse(covers.from);
  const begins = earlier ? " Before that nothing is on record." : "";
  return `${none} ${span}; ${complete}.${begins}${now}`;
}

/** What is not fully on, with the part it belongs to. */
export function troubled(health: Health | undefined): readonly { part: string; feature: Feature }[] {
  return (health?.parts ?? []).flatMap((part) =>
    part.features.filter(({ state }) => state !== "on").map((feature) => ({ part: part.name, feature })),
  );
}
