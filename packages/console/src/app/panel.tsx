import { Copy } from "./copy.tsx";
import { sentence, title } from "./describe.ts";
import { absolute, ago, bytes, clock, count, duration, exact, socketAddress } from "./format.ts";
import { Badge } from "./icons.tsx";
import { command, type Filter } from "./query.ts";
import type { Flow, FlowProcess } from "./shapes.ts";

interface Props {
  readonly id: string;
  readonly flow: Flow | undefined;
  /** Flows are still being asked for: an unknown one may yet come. */
  readonly loading: boolean;
  readonly nowMs: number;
  onClose(): void;
  onFilter(filter: Filter): void;
}

/** The facts of the selected flow, and where to go from it. */
export function SidePanel({ id, flow, loading, nowMs, onClose, onFilter }: Props) {
  return (
    <aside class="side" aria-label="Selected flow">
      <div class="sec top">
        <h2>
          {flow === undefined ? (
            `flow ${id}`
          ) : (
            <>
              <Badge mark={flow.state === "active" ? "ok" : "none"}>{flow.verdict}</Badge>{" "}
              <span class="mid">{title(flow)}</span>
            </>
          )}
        </h2>
        <span>
          <kbd class="x2">↑ ↓ Esc</kbd>
          <button type="button" class="q" title="Close (Esc)" aria-label="Close" onClick={onClose}>
            ✕
          </button>
        </span>
      </div>
      {flow === undefined ? <Unknown id={id} loading={loading} /> : <Facts {...{ flow, nowMs, onFilter }} />}
    </aside>
  );
}

function Unknown({ id, loading }: { id: string; loading: boolean }) {
  return (
    <div class="sec">
      <p class="mid">
        {loading
          ? "Asking the node…"
          : `Flow ${id} is not among the flows that match here. It is older than what is loaded, does not match the filter, or belongs to an earlier run of the node.`}
      </p>
    </div>
  );
}

function Facts({ flow, nowMs, onFilter }: { flow: Flow; nowMs: number; onFilter(filter: Filter): void }) {
  const startMs = Date.parse(flow.start);
  const endMs = Date.parse(flow.end);
  const { process } = flow;
  const only = (label: string, filter: Filter) => (
    <button type="button" onClick={() => onFilter(filter)}>
      {label}
    </button>
  );
  return (
    <>
      <div class="sec">
        <p>{sentence(flow, nowMs)}</p>
      </div>
      <div class="sec">
        <dl class="facts">
          <Fact name="from" text={socketAddress(flow.source)} mono />
          <Fact name="to" text={socketAddress(flow.destination)} mono />
          <Fact name="protocol" text={flow.protocol} />
          {flow.icmp !== null && (
            <Fact name="icmp" text={`type ${flow.icmp.type}, code ${flow.icmp.code}, id ${flow.icmp.id}`} />
          )}
          <Fact name="place" text={flow.place} more={`first seen at ${flow.direction}, ${flow.interface}`} />
          <Fact name="started" text={new Date(startMs).toISOString()} title={absolute(startMs)}>
            {ago(nowMs - startMs)} <span class="dim">{clock(startMs)}</span>
          </Fact>
          <Fact name="latest packet" text={new Date(endMs).toISOString()} title={absolute(endMs)}>
            {ago(nowMs - endMs)} <span class="dim">{clock(endMs)}</span>
          </Fact>
          <Fact name="lasted" text={duration(endMs - startMs)} title={exact(endMs - startMs, "ms")} />
        </dl>
      </div>
      <div class="sec">
        <table class="both">
          <thead>
            <tr>
              <th>
                <span class="sr">counter</span>
              </th>
              <th class="n">sent →</th>
              <th class="n">← received</th>
            </tr>
          </thead>
          <tbody>
            <Both name="bytes" values={flow.bytes} format={bytes} unit="B" />
            <Both name="packets" values={flow.packets} format={count} unit="packets" />
          </tbody>
        </table>
      </div>
      <Process
        title="Process"
        process={process}
        none={flow.place === "forwarded" ? "forwarded" : "unknown"}
      />
      {flow.peerProcess !== null && <Process title="At the other end" process={flow.peerProcess} none="" />}
      <div class="sec">
        <h3>Kernel</h3>
        <dl class="facts">
          {flow.tcpFlags.length > 0 && <Fact name="TCP flags" text={flow.tcpFlags.join(" ")} />}
          <Fact name="socket cookie" text={flow.cookie ?? "none"} mono />
          <Fact name="namespace" text={String(flow.netns)} mono title="inode, as lsns -t net prints it" />
          <Fact name="flow" text={flow.id} mono />
        </dl>
      </div>
      <div class="acts">
        {only("only this source", { ip: flow.source.ip })}
        {only("only this destination", { ip: flow.destination.ip })}
        {flow.destination.port > 0 &&
          only(`only port ${flow.destination.port}`, { port: String(flow.destination.port) })}
        {process !== null && only(`only ${process.comm}`, { process: process.comm })}
        <Copy class="" text={command({ ip: flow.source.ip, protocol: flow.protocol }, "--follow")}>
          copy as command
        </Copy>
        <Copy class="" text={JSON.stringify(flow, null, 2)}>
          copy as JSON
        </Copy>
      </div>
    </>
  );
}

interface FactProps {
  readonly name: string;
  /** What a click copies, and what is shown unless there is content. */
  readonly text: string;
  readonly title?: string;
  readonly more?: string;
  readonly mono?: boolean;
  readonly children?: preact.ComponentChildren;
}

function Fact({ name, text, title, more, mono = false, children }: FactProps) {
  return (
    <>
      <dt>{name}</dt>
      <dd>
        <Copy text={text} class={mono ? "copy m" : "copy"} {...(title === undefined ? {} : { title })}>
          {children ?? text}
        </Copy>
        {more !== undefined && <span class="dim"> {more}</span>}
      </dd>
    </>
  );
}

interface BothProps {
  readonly name: string;
  readonly values: { readonly sent: number; readonly received: number };
  readonly format: (value: number) => string;
  readonly unit: string;
}

function Both({ name, values, format, unit }: BothProps) {
  return (
    <tr>
      <th scope="row">{name}</th>
      {([values.sent, values.received] as const).map((value, side) => (
        <td key={side === 0 ? "sent" : "received"} class={value === 0 ? "n dim" : "n"}>
          <Copy text={String(value)} title={exact(value, unit)}>
            {format(value)}
          </Copy>
        </td>
      ))}
    </tr>
  );
}

function Process({
  title: heading,
  process,
  none,
}: {
  title: string;
  process: FlowProcess | null;
  none: string;
}) {
  return (
    <div class="sec">
      <h3>{heading}</h3>
      {process === null ? (
        <p class="dim">
          {none === "forwarded"
            ? "None: this host only forwards the flow."
            : "Not known: no socket of this host was seen for it."}
        </p>
      ) : (
        <dl class="facts">
          <Fact name="name" text={process.comm} />
          <Fact name="pid" text={String(process.pid)} mono />
          {process.executable !== null && <Fact name="executable" text={process.executable} mono />}
          {process.cgroup !== null && <Fact name="cgroup" text={process.cgroup} mono />}
        </dl>
      )}
    </div>
  );
}
