import { clock, count, exact } from "./format.ts";
import { Badge } from "./icons.tsx";
import type { FlowsModel } from "./model.ts";
import { isLive, type View } from "./query.ts";
import { troubled } from "./states.tsx";

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
        <span>
          covers {clock(Date.parse(covers.from))} – {isLive(view) ? "now" : clock(Date.parse(covers.to))}
        </span>
      )}
      {lostPackets !== undefined && <Lost packets={lostPackets} events={lostEvents} />}
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

function Lost({ packets, events }: { packets: number; events: number }) {
  const text = (
    <>
      <b>{count(packets)}</b> lost
    </>
  );
  const title = `${exact(packets)} packets that the kernel counted and no flow holds; ${exact(events)} events that came too fast`;
  return <span title={title}>{packets + events > 0 ? <Badge mark="warning">{text}</Badge> : text}</span>;
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
