/** A draft held against recorded flows: what of them it would have dropped, by which rule, and how much was recorded. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, postJson } from "../api.ts";
import { count, exact } from "../format.ts";
import { Badge } from "../icons.tsx";
import { formatView, newestFirst } from "../query.ts";
import { visible } from "../visible.ts";
import { asApiError, draftName } from "./draft.ts";
import type { DeniedGroup, Rehearsal } from "./shapes.ts";
import { plural } from "./words.tsx";

const ranges = ["1h", "6h", "24h", "7d"] as const;
/** Groups in the panel; the rest is a number. */
const mostGroups = 25;

export function Recorded({ text }: { text: string }) {
  const [since, setSince] = useState<string>("24h");
  const [answer, setAnswer] = useState<Rehearsal | ApiError>();
  const [pending, setPending] = useState(false);
  const abort = useRef<AbortController>(undefined);
  useEffect(() => () => abort.current?.abort(), []);
  const ask = (): void => {
    abort.current?.abort();
    abort.current = new AbortController();
    const { signal } = abort.current;
    setPending(true);
    const files = [{ name: draftName, text }];
    postJson<Rehearsal>("/api/v1/policy/rehearse", { files, since, top: 200 }, signal)
      .then(setAnswer, (error) => signal.aborted || setAnswer(asApiError(error)))
      .finally(() => setPending(false));
  };
  return (
    <div class="sec" id="recorded">
      <h3>Against what was recorded</h3>
      <div class="row">
        <select
          aria-label="How far back"
          value={since}
          onChange={(event) => setSince(event.currentTarget.value)}
        >
          {ranges.map((range) => (
            <option key={range} value={range}>
              last {range}
            </option>
          ))}
        </select>
        <button type="button" disabled={pending} onClick={ask}>
          {pending ? "rehearsing…" : "rehearse"}
        </button>
        <span class="s">beside what is applied now</span>
      </div>
      {answer instanceof ApiError && (
        <p class="note" role="alert">
          {visible(answer.message)} {answer.hint !== null && visible(answer.hint)}
        </p>
      )}
      {answer !== undefined && !(answer instanceof ApiError) && <Outcome rehearsal={answer} />}
    </div>
  );
}

function Outcome({ rehearsal }: { rehearsal: Rehearsal }) {
  const { judged, denied, audited, attempts, hours, groups, missing, unseen, asked } = rehearsal;
  const whole = (Date.parse(asked.to) - Date.parse(asked.from)) / 3_600_000;
  const selected = unseen.filter((one) => one.selected).map(({ name }) => visible(name));
  return (
    <>
      <p class="answer" role="status">
        {judged === 0 ? (
          <Badge mark="off">No recorded flow is judged by these policies</Badge>
        ) : denied === 0 ? (
          <Badge mark="ok">None of {exact(judged)} recorded flows would be dropped</Badge>
        ) : (
          <Badge mark="denied">
            {exact(denied)} of {exact(judged)} recorded flows would be dropped
          </Badge>
        )}
      </p>
      <p class="s">
        Covers {hoursText(hours)} of {hoursText(whole)}.
        {audited > 0 && ` ${exact(audited)} more if nothing were in audit.`}
        {attempts.judged > 0 &&
          ` Of ${exact(attempts.judged)} that came to nothing (scans, refused) ${exact(attempts.denied)} would be dropped too.`}
      </p>
      {hours < whole * 0.9 && (
        <p class="note">What happens less often than every {hoursText(hours)} was not seen.</p>
      )}
      {selected.length > 0 && (
        <p class="note">
          No flow in this time of: {selected.join(", ")}. Nothing is known of what they need.
        </p>
      )}
      {groups.length > 0 && <Groups groups={groups} />}
      {missing > 0 && <p class="s">Figures of groups are at most {exact(missing)} too low.</p>}
    </>
  );
}

function Groups({ groups }: { groups: readonly DeniedGroup[] }) {
  const rest = groups.slice(mostGroups).reduce((sum, { flows }) => sum + flows, 0);
  return (
    <>
      <ol class="groups">
        {groups.slice(0, mostGroups).map((group) => {
          const { policy, path, decision, direction, peer, protocol, port, flows, example } = group;
          const who = group.process ?? group.unit ?? group.container;
          const href = `/flows${formatView({ filter: {}, sort: newestFirst, live: true, flow: example.flow })}`;
          return (
            <li key={JSON.stringify([policy, path, direction, peer, protocol, port, who])}>
              <b class="n" title={exact(flows, "flows")}>
                {count(flows)}
              </b>
              <a href={href} title="The newest of these flows">
                {direction === "ingress" ? "← " : "→ "}
                <span class="m">{peer.name === null ? peer.ip : visible(peer.name)}</span> {protocol}
                {port !== null && ` ${port}`}
                {who !== null && <span class="mid"> {visible(who)}</span>}
                <span class="block dim">
                  {decision === "audit" ? "audit: " : ""}
                  {visible(policy)} {visible(path)}
                </span>
              </a>
            </li>
          );
        })}
      </ol>
      {rest > 0 && <p class="s">{exact(rest)} flows in smaller groups.</p>}
    </>
  );
}

function hoursText(hours: number): string {
  if (hours >= 48) return `${Math.round(hours / 24)} days`;
  if (hours >= 1) return `${Number(hours.toPrecision(3))} ${plural(Math.round(hours), "hour")}`;
  return `${Math.max(0, Math.round(hours * 60))} min`;
}
