/** What happened on a flow, in the order of time. */
import { absolute, bytes, clockMs, exact, latency } from "../format.ts";
import { Badge } from "../icons.tsx";
import type { DnsEvent, Flow, FlowEvent } from "../shapes.ts";
import { visible } from "../visible.ts";
import type { Answer } from "./detail.ts";

/** How the destination got its name. */
export function Lookups({ flow, lookups }: { flow: Flow; lookups: readonly DnsEvent[] }) {
  if (flow.destination.name === null) return null;
  return (
    <div class="sec">
      <h3>DNS</h3>
      <ol class="timeline">
        {lookups.map((event) => (
          <Line key={JSON.stringify(event)} at={event.time}>
            <What event={event} />
          </Line>
        ))}
      </ol>
      {lookups.length === 0 && <p class="s">The answer that named the destination is not on record.</p>}
    </div>
  );
}

interface Props {
  readonly flow: Flow;
  readonly events: readonly FlowEvent[];
  readonly answer: Answer;
}

export function Timeline({ flow, events, answer }: Props) {
  return (
    <div class="sec">
      <h3>Timeline</h3>
      <ol class="timeline">
        <Line at={flow.start}>opened</Line>
        {events.map((event) => (
          <Line key={JSON.stringify(event)} at={event.time}>
            <What event={event} />
          </Line>
        ))}
        {flow.state === "ended" && <Line at={flow.end}>latest packet, then it ended</Line>}
      </ol>
      <Missing answer={answer} none={events.length === 0} />
    </div>
  );
}

function Line({ at, children }: { at: string; children: preact.ComponentChildren }) {
  const ms = Date.parse(at);
  return (
    <li>
      <time class="m" dateTime={at} title={absolute(ms)}>
        {clockMs(ms)}
      </time>
      <span>{children}</span>
    </li>
  );
}

function Missing({ answer, none }: { answer: Answer; none: boolean }) {
  if (answer === "loading") return <p class="s">Asking the node for its DNS and drops…</p>;
  if (answer === "missing")
    return <p class="s">This node does not keep DNS and drops: only what comes now is shown.</p>;
  if (answer !== "here") return <p class="note">DNS and drops did not come: {answer.message}</p>;
  return none ? (
    <p class="s">No DNS or drop was seen on it. Requests are told while they happen, and not kept.</p>
  ) : null;
}

function What({ event }: { event: FlowEvent }) {
  switch (event.kind) {
    case "dns":
      return (
        <>
          <b>{event.type}</b> {visible(event.name)} →{" "}
          {event.rcode === null ? (
            <Badge mark="warning">no answer</Badge>
          ) : (
            <>
              {event.rcode === "NOERROR" ? "" : <Badge mark="error">{visible(event.rcode)}</Badge>}
              {event.answers.map((answer) => visible(answer)).join(", ")}
            </>
          )}
          <Took ms={event.latencyMs} />
          {event.ttlSeconds !== null && <span class="dim">, for {exact(event.ttlSeconds, "s")}</span>}
        </>
      );
    case "request":
      return (
        <>
          <b>{visible(event.method)}</b> {visible(event.target ?? event.application)} →{" "}
          {event.isError ? (
            <Badge mark="error">{visible(event.status ?? "failed")}</Badge>
          ) : (
            visible(event.status ?? "answered")
          )}
          <Took ms={event.latencyMs} />
          {event.encrypted && <span class="dim">, inside TLS</span>}
        </>
      );
    case "drop":
      return (
        <>
          <Badge mark="dropped">{visible(event.reason)}</Badge> {bytes(event.bytes)}{" "}
          {event.fromSource ? "from the source" : "from the destination"}
          {event.interface !== null && <span class="dim"> at {visible(event.interface)}</span>}
        </>
      );
    case "scan":
      return (
        <>
          <Badge mark="warning">{scans[event.scan]}</Badge> {exact(event.count)} in{" "}
          {exact(event.seconds, "s")}
        </>
      );
    // A node of a later version may tell what this page does not know.
    default:
      return <span class="dim">{visible((event as FlowEvent).kind)}</span>;
  }
}

const scans = { ports: "scan of ports", hosts: "scan of hosts", flood: "flood" } as const;

function Took({ ms }: { ms: number | null }) {
  return ms === null ? null : <span class="dim">, {latency(ms)}</span>;
}
