import { absolute, clock, count, duration, exact } from "./format.ts";
import { Badge } from "./icons.tsx";
import type { FlowsModel } from "./model.ts";
import { isLive, type View } from "./query.ts";
import { coveredMs } from "./range.ts";
import type { Gap } from "./shapes.ts";
import { troubled } from "./states.tsx";
import { visible } from "./visible.ts";

interface Props {
  readonly model: FlowsModel;
  readonly view: View;
  onFeatures(): void;
  onRelease(): void;
}

/** How much is shown, what time it covers, what was lost, and why the order waits. */
export function Summary({ model, view, onFeatures, onRelease }: Props) {
  const { rows, covers, lostPackets, lostEvents } = model;
  const off = troubled(model.health);
  return (
    <div class="sum s">
      <span title={exact(rows.size)}>
        <b>{count(rows.size)}</b> {model.more ? "newest flows" : "flows"}
      </span>
      <span title={exact(rows.active)}>
        <b>{count(rows.active)}</b> active
      </span>
      {covers !== undefined && (
        <span title={`${absolute(Date.parse(covers.from))} to ${absolute(Date.parse(covers.to))}`}>
          covers from {moment(covers.from)} to {isLive(view) ? "now" : moment(covers.to)}
        </span>
      )}
      {lostPackets !== undefined && <Lost packets={lostPackets} events={lostEvents} />}
      {covers?.gaps !== undefined && covers.gaps.length > 0 && <Gaps gaps={covers.gaps} />}
      {off.length > 0 && (
        <button type="button" class="plain" onClick={onFeatures}>
          <Badge mark="warning">
            {off.length === 1 ? off[0]?.feature.name : `${off.length} features`} not fully on
          </Badge>
        </button>
      )}
      <Held model={model} onRelease={onRelease} />
    </div>
  );
}

/** The time of today, the day of others. */
function moment(iso: string): string {
  const at = new Date(iso);
  const today = new Date().toDateString() === at.toDateString();
  const day = `${at.getDate()} ${at.toLocaleString("en", { month: "short" })} `;
  return `${today ? "" : day}${clock(at.getTime())}`;
}

function Gaps({ gaps }: { gaps: readonly Gap[] }) {
  const together = duration(coveredMs(gaps));
  const each = gaps.slice(-10).map(({ from, to, reason }) => {
    return `${moment(from)} to ${moment(to)}: ${visible(reason)}`;
  });
  return (
    <span
      title={`${each.join("\n")}${gaps.length > each.length ? `\nand ${gaps.length - each.length} earlier` : ""}`}
    >
      <Badge mark="warning">
        {gaps.length === 1 ? `1 gap of ${together}` : `${count(gaps.length)} gaps, ${together} together`}
      </Badge>
    </span>
  );
}

function Lost({ packets, events }: { packets: number; events: number }) {
  const some = [
    ...(packets > 0 ? [`${count(packets)} packets`] : []),
    ...(events > 0 ? [`${count(events)} events`] : []),
  ];
  const title = `${exact(packets)} packets that the kernel counted and no flow holds; ${exact(events)} starts and ends of flows that found no room`;
  const text = (
    <>
      <b>{some.length === 0 ? "0" : some.join(", ")}</b> lost
    </>
  );
  return <span title={title}>{some.length > 0 ? <Badge mark="warning">{text}</Badge> : text}</span>;
}

const reasons: Readonly<Record<string, string>> = {
  pointer: "pointer on table",
  scrolled: "scrolled",
  keys: "keys in table",
};

function Held({ model, onRelease }: { model: FlowsModel; onRelease(): void }) {
  const [reason] = model.held;
  if (reason === undefined || !model.live || model.trouble !== undefined) return null;
  return (
    <button type="button" class="plain held x3" title="Show them: go to the first line" onClick={onRelease}>
      <Badge mark="warning">paused: {reasons[reason]}</Badge> <b>{count(model.rows.pending)}</b> new
    </button>
  );
}
