/** The facts of a flow, section by section; what is not known about it says so or is left out. */
import { Copy } from "../copy.tsx";
import { decidedBy, sentence } from "../describe.ts";
import { absolute, ago, bytes, clock, count, duration, exact, socketAddress } from "../format.ts";
import { command, type Filter } from "../query.ts";
import { downloadText } from "../save.ts";
import { isLocal, partyAt, type Side } from "../services.ts";
import type { Endpoint, Flow } from "../shapes.ts";
import { visibleJson } from "../visible.ts";
import type { FlowDetail } from "./detail.ts";
import { Lookups, Timeline } from "./events.tsx";
import { Both, Fact } from "./fact.tsx";
import { Connection, Content, Drops, Translation } from "./insight.tsx";
import { Process } from "./process.tsx";
import { useRttSamples } from "./spark.tsx";

interface Props {
  readonly flow: Flow;
  readonly detail: FlowDetail;
  readonly nowMs: number;
  onFilter(filter: Filter): void;
  onService(key: string): void;
}

export function Facts({ flow, detail, nowMs, onFilter, onService }: Props) {
  const samples = useRttSamples(flow);
  return (
    <>
      <div class="sec">
        <p>{sentence(flow, nowMs)}</p>
      </div>
      <Basics {...{ flow, nowMs }} />
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
      <Drops drops={flow.drops} />
      <Connection flow={flow} samples={samples} />
      <Content flow={flow} />
      <Processes flow={flow} />
      <Translation translated={flow.translated} />
      <Lookups flow={flow} lookups={detail.lookups} />
      <Timeline flow={flow} events={detail.events} answer={detail.eventsAnswer} />
      <div class="sec">
        <h3>Kernel</h3>
        <dl class="facts">
          {flow.tcpFlags.length > 0 && <Fact name="TCP flags" text={flow.tcpFlags.join(" ")} />}
          <Fact name="socket cookie" text={flow.cookie ?? "none"} mono />
          <Fact name="namespace" text={String(flow.netns)} mono title="inode, as lsns -t net prints it" />
          <Fact name="flow" text={flow.id} mono />
        </dl>
      </div>
      <Actions {...{ flow, onFilter, onService }} />
    </>
  );
}

function Basics({ flow, nowMs }: { flow: Flow; nowMs: number }) {
  const startMs = Date.parse(flow.start);
  const endMs = Date.parse(flow.end);
  return (
    <div class="sec">
      <dl class="facts">
        <EndFacts name="from" end={flow.source} />
        <EndFacts name="to" end={flow.destination} />
        <Fact name="protocol" text={flow.protocol} />
        {flow.icmp !== null && (
          <Fact name="icmp" text={`type ${flow.icmp.type}, code ${flow.icmp.code}, id ${flow.icmp.id}`} />
        )}
        {flow.rule !== null && (
          <>
            <dt>{flow.verdict === "forwarded" ? "allowed by" : "denied by"}</dt>
            <dd>
              {flow.rule.policy === "" ? (
                decidedBy(flow.rule)
              ) : (
                <a class="l" href={`/policy?${new URLSearchParams({ document: flow.rule.policy })}`}>
                  {decidedBy(flow.rule)}
                </a>
              )}
            </dd>
          </>
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
  );
}

function EndFacts({ name, end }: { name: string; end: Endpoint }) {
  return (
    <>
      <Fact name={name} text={socketAddress(end)} mono />
      {end.name !== null && (
        <Fact name="" text={end.name} title="learned from an answer of DNS that this host asked for" />
      )}
    </>
  );
}

function Processes({ flow }: { flow: Flow }) {
  const none =
    flow.place === "forwarded"
      ? "None: this host only forwards the flow."
      : "Not known: no socket of this host was seen for it.";
  return (
    <>
      <Process title="Process" process={flow.process} none={none} />
      {flow.peerProcess !== null && <Process title="At the other end" process={flow.peerProcess} none="" />}
    </>
  );
}

function Actions({ flow, onFilter, onService }: Pick<Props, "flow" | "onFilter" | "onService">) {
  const { process } = flow;
  const only = (label: string, filter: Filter) => (
    <button type="button" onClick={() => onFilter(filter)}>
      {label}
    </button>
  );
  const here = (["source", "destination"] satisfies Side[]).find((side) => isLocal(flow, side));
  const json = visibleJson(flow);
  return (
    <div class="acts">
      {only("only this source", { ip: flow.source.ip })}
      {only("only this destination", { ip: flow.destination.ip })}
      {flow.destination.port > 0 &&
        only(`only port ${flow.destination.port}`, { port: String(flow.destination.port) })}
      {flow.destination.name !== null && only("only this name", { name: flow.destination.name })}
      {process !== null && only("only this process", { process: process.comm })}
      {process?.unit != null && only("only this unit", { unit: process.unit })}
      {process?.container != null && only("only this container", { container: process.container })}
      {here !== undefined && (
        <button type="button" onClick={() => onService(partyAt(flow, here).key)}>
          show in the map
        </button>
      )}
      <Copy class="" text={location.href} title="The address of this view, with the flow open">
        copy link
      </Copy>
      <Copy class="" text={command({ ip: flow.source.ip, protocol: flow.protocol }, "--follow")}>
        copy as command
      </Copy>
      <Copy class="" text={json}>
        copy as JSON
      </Copy>
      <button type="button" onClick={() => downloadText(`x0-flow-${flow.id}.json`, "application/json", json)}>
        save JSON
      </button>
    </div>
  );
}
