/** One cell at the right: who, which way, what decides, and the flows that were seen. */
import { Copy } from "../copy.tsx";
import { processes } from "../describe.ts";
import { FlowVerdict } from "../flow/verdict.tsx";
import { absolute, bytes, clock, count, exact, socketAddress } from "../format.ts";
import { formatView, newestFirst } from "../query.ts";
import type { Flow } from "../shapes.ts";
import { visible } from "../visible.ts";
import type { Rule } from "./model.ts";
import { PanelHead } from "./panel-head.tsx";
import type { Decided, MatrixAnswer, MatrixPeer, MatrixPort } from "./shapes.ts";
import { plural, portText, ruleName, Verdict } from "./words.tsx";

/** Newest flows in the panel; the rest is on the Flows page. */
const mostFlows = 12;

interface Props {
  readonly answer: MatrixAnswer;
  readonly peer: MatrixPeer;
  readonly port: MatrixPort;
  readonly verdict: Decided;
  readonly rule: Rule | undefined;
  readonly flows: readonly Flow[];
  onPolicy(name: string): void;
  onClose(): void;
}

export function CellPanel({ answer, peer, port, verdict, rule, flows, onPolicy, onClose }: Props) {
  const { endpoint, direction } = answer;
  const [from, to] = direction === "ingress" ? [peer.name, endpoint] : [endpoint, peer.name];
  const link = flowsLink(peer, port);
  const newest = flows.toSorted((a, b) => Date.parse(b.start) - Date.parse(a.start)).slice(0, mostFlows);
  return (
    <aside class="side" aria-label="Selected cell">
      <PanelHead onClose={onClose}>
        <Verdict decision={verdict.decision} /> <span class="mid">{portText(port)}</span>
      </PanelHead>
      <div class="sec">
        <p>{sentence(verdict, visible(from), visible(to), portText(port))}</p>
      </div>
      <div class="sec">
        <dl class="facts">
          <dt>from</dt>
          <dd>{visible(from)}</dd>
          <dt>to</dt>
          <dd>{visible(to)}</dd>
          <dt>port</dt>
          <dd>{portText(port)}</dd>
          {peer.prefixes.length > 0 && (
            <>
              <dt>addresses</dt>
              <dd class="m">{peer.prefixes.join(", ")}</dd>
            </>
          )}
          <dt>decided by</dt>
          <dd>
            {verdict.policy === "" ? (
              ruleName(verdict)
            ) : (
              <>
                <button type="button" class="l" onClick={() => onPolicy(verdict.policy)}>
                  {visible(verdict.policy)}
                </button>
                <Copy text={visible(verdict.path)} class="copy m" />
              </>
            )}
          </dd>
          {rule !== undefined && (
            <>
              <dt>this rule</dt>
              <dd title={`${exact(rule.packets, "packets")}, ${exact(rule.bytes, "B")}`}>
                {count(rule.flows)} {plural(rule.flows, "flow")}, {count(rule.packets)} packets,{" "}
                {bytes(rule.bytes)}
                <span class="dim"> in all its cells</span>
              </dd>
            </>
          )}
        </dl>
      </div>
      <div class="sec">
        <h3>
          {flows.length === 0
            ? "No flow seen"
            : `${exact(flows.length)} ${plural(flows.length, "flow")} seen`}
        </h3>
        {flows.length === 0 && <p class="mid">{unused(verdict)}</p>}
        <ol class="timeline">
          {newest.map((flow) => (
            <li key={flow.id}>
              <time title={absolute(Date.parse(flow.start))}>{clock(Date.parse(flow.start))}</time>
              <span>
                {flow.verdict !== "forwarded" && <FlowVerdict flow={flow} />}{" "}
                <a href={`/flows${formatView({ filter: {}, sort: newestFirst, live: true, flow: flow.id })}`}>
                  <span class="m">
                    {socketAddress(flow.source)} → {socketAddress(flow.destination)}
                  </span>{" "}
                  {flow.process !== null && <span class="dim">{processes(flow)}</span>}
                </a>
              </span>
            </li>
          ))}
        </ol>
        {flows.length > newest.length && <p class="s">The {mostFlows} newest.</p>}
      </div>
      <div class="acts">
        {link !== undefined && (
          <a class="button" href={link}>
            show on Flows
          </a>
        )}
        <Copy class="" text={location.href} title="The address of this view, with the cell open">
          copy link
        </Copy>
      </div>
    </aside>
  );
}

function sentence({ decision }: Decided, from: string, to: string, port: string): string {
  if (decision === "allow") return `${from} may reach ${to}: ${port}.`;
  if (decision === "deny") return `${from} may not reach ${to}: ${port}. New connections are dropped.`;
  return `${from} may still reach ${to}: ${port}. Enforced, the policies in audit would drop it.`;
}

function unused({ decision }: Decided): string {
  return decision === "allow"
    ? "Allowed, and not used by any of the flows that this page has."
    : "Nobody has tried in the flows that this page has.";
}

/** The flows of one address or prefix, and of one port. */
function flowsLink(
  { prefixes }: MatrixPeer,
  { first, last, isRest, protocol }: MatrixPort,
): string | undefined {
  const [prefix, ...more] = prefixes;
  if (prefix === undefined || more.length > 0) return undefined;
  const isPort = !isRest && first === last && protocol !== null && !protocol.startsWith("icmp");
  const filter = {
    ip: prefix,
    ...(isPort ? { port: String(first) } : {}),
    ...(protocol === null ? {} : { protocol }),
  };
  return `/flows${formatView({ filter, sort: newestFirst, live: true })}`;
}
