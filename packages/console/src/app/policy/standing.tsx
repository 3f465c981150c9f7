/** What is in force, in one line: which generation, since when, how much of it, and what became of the one before. */
import { Copy } from "../copy.tsx";
import { absolute, ago, count, exact } from "../format.ts";
import { Badge } from "../icons.tsx";
import type { Health } from "../shapes.ts";
import { visible } from "../visible.ts";
import { changeText } from "./apply.tsx";
import type { PolicyModel } from "./model.ts";
import type { Change, Generation, PolicyState } from "./shapes.ts";
import { plural } from "./words.tsx";

/** For so long what fell back is worth a line. */
const freshMs = 600_000;

interface Props {
  readonly model: PolicyModel;
  readonly nowMs: number;
  /** What was last applied from this page. */
  readonly change: Change | undefined;
  readonly health: Health | undefined;
  onFeatures(): void;
}

export function Standing({ model, nowMs, change, health, onFeatures }: Props) {
  const { state, generations, deadline } = model;
  if (state === undefined) return <div class="sum s">Asking the node…</div>;
  const { counts, applied } = state;
  const fallen = deadline === undefined ? fellBack(generations, nowMs) : undefined;
  return (
    <>
      <div class="sum s">
        <InForce state={state} isWaiting={deadline !== undefined} />
        {applied !== null && counts.documents > 0 && (
          <span title={absolute(Date.parse(applied))}>
            applied <b>{ago(Math.max(0, nowMs - Date.parse(applied)))}</b>
          </span>
        )}
        {counts.documents > 0 && (
          <span>
            <b>{count(counts.documents)}</b> {plural(counts.documents, "document")}
            {counts.audit > 0 && `, ${counts.audit} in audit`}
          </span>
        )}
        {counts.documents > 0 && (
          <span class="x2" title={`${exact(counts.entries)} entries of the kernel's table`}>
            <b>{count(counts.rules)}</b> {plural(counts.rules, "rule")}
          </span>
        )}
        {counts.connections !== null && counts.documents > 0 && (
          <span class="x1" title="allowed connections that the kernel remembers; their answers pass by them">
            <b>{count(counts.connections)}</b> connections remembered
          </span>
        )}
        {(counts.unremembered ?? 0) > 0 && (
          <span title="policy.max_connections makes more room">
            <Badge mark="warning">{count(counts.unremembered ?? 0)} without room</Badge>
          </span>
        )}
        {!state.management && counts.documents > 0 && <Badge mark="warning">management not kept open</Badge>}
        {state.pin && <span class="x2">pinned</span>}
        {health !== undefined && !state.enforced && state.reason !== null && (
          <button type="button" class="plain" onClick={onFeatures}>
            why?
          </button>
        )}
      </div>
      {fallen !== undefined && (
        <p class="said-line" role="status">
          <Badge mark="warning">Generation {fallen.generation} was not kept</Badge>{" "}
          <span class="mid">
            What held before holds again, since {ago(Math.max(0, nowMs - Date.parse(fallen.settled ?? "")))}.
          </span>
        </p>
      )}
      {change !== undefined && fallen === undefined && deadline === undefined && (
        <p class="said-line" role="status">
          <Badge mark="ok">{changeText(change)}</Badge>
          {change.warnings.map((warning) => (
            <span class="note block" key={warning}>
              {visible(warning, 1000)}
            </span>
          ))}
        </p>
      )}
    </>
  );
}

function InForce({ state, isWaiting }: { state: PolicyState; isWaiting: boolean }) {
  const { enforced, generation, reason, counts } = state;
  if (reason !== null)
    return (
      <span title={visible(`${reason}${state.hint === null ? "" : `; ${state.hint}`}`)}>
        <Badge mark="error">not enforced: {visible(reason)}</Badge>
      </span>
    );
  if (counts.documents === 0 || generation === null) return <Badge mark="off">no policy</Badge>;
  const said = `generation ${generation}`;
  if (!enforced) return <Badge mark="error">{said} is not in force</Badge>;
  return isWaiting ? (
    <Badge mark="warning">{said}, unconfirmed</Badge>
  ) : (
    <Badge mark="ok">{said} is in force</Badge>
  );
}

/** The newest generation, where it fell back or was reverted a short while ago. */
function fellBack(generations: readonly Generation[], nowMs: number): Generation | undefined {
  const [newest] = generations;
  if (newest?.state !== "reverted" || newest.settled === null) return undefined;
  return nowMs - Date.parse(newest.settled) < freshMs ? newest : undefined;
}

/** Nothing is applied: what that means, and the ways to a first policy. */
export function Nothing({ onRehearse }: { onRehearse(): void }) {
  return (
    <section class="state">
      <h2>No policy is applied</h2>
      <p>
        Everything may talk to everything. Write what was really used as a policy, look at what it would have
        dropped, and apply it so that it falls back by itself unless you confirm:
      </p>
      <Copy class="cmd" text="x0 policy suggest --from 24h > policy.yaml" />
      <Copy class="cmd" text="x0 policy check --against 24h policy.yaml" />
      <Copy class="cmd" text="x0 policy apply --confirm-within 60s policy.yaml" />
      <button type="button" class="do" onClick={onRehearse}>
        or do it here
      </button>
    </section>
  );
}
