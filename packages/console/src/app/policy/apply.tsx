/** The last step: how a draft is put in force, with a way back unless someone says that none is wanted. */
import { useState } from "preact/hooks";
import type { ApiError } from "../api.ts";
import { Dialog } from "../dialogs.tsx";
import { visible } from "../visible.ts";
import { asApiError, draftName } from "./draft.ts";
import type { PolicyModel } from "./model.ts";
import type { Change } from "./shapes.ts";
import { plural } from "./words.tsx";

const times: readonly (readonly [seconds: number, text: string])[] = [
  [15, "15 s"],
  [60, "60 s"],
  [300, "5 min"],
  [900, "15 min"],
  [0, "no way back"],
];

interface Props {
  readonly model: PolicyModel;
  readonly text: string;
  onApplied(change: Change): void;
}

export function Apply({ model, text, onApplied }: Props) {
  const { state } = model;
  const [audit, setAudit] = useState(false);
  const [seconds, setSeconds] = useState(60);
  const [management, setManagement] = useState(state?.management ?? true);
  const [pin, setPin] = useState(state?.pin ?? false);
  const [asking, setAsking] = useState(false);
  const [pending, setPending] = useState(false);
  const [refused, setRefused] = useState<ApiError>();
  // Where nothing is enforced nothing could fall back.
  const within = state?.enforced === false && state.reason !== null ? 0 : seconds;
  const send = (): void => {
    setAsking(false);
    setPending(true);
    setRefused(undefined);
    model
      .change("apply", {
        files: [{ name: draftName, text }],
        audit,
        management,
        pin,
        ...(within === 0 ? {} : { confirmWithinSeconds: within }),
      })
      .then(onApplied, (error) => setRefused(asApiError(error)))
      .finally(() => setPending(false));
  };
  const isRisky = within === 0 && !audit;
  return (
    <form
      class="sec apply"
      onSubmit={(event) => {
        event.preventDefault();
        if (isRisky) setAsking(true);
        else send();
      }}
    >
      <h3>Apply</h3>
      <div class="choice">
        <label>
          <input
            type="checkbox"
            checked={audit}
            onChange={(event) => setAudit(event.currentTarget.checked)}
          />
          audit: tell what would be denied, deny nothing
        </label>
        <label>
          falls back unless confirmed within
          <select
            aria-label="Confirm within"
            value={within}
            onChange={(event) => setSeconds(Number(event.currentTarget.value))}
          >
            {times.map(([value, name]) => (
              <option key={value} value={value}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <label>
          <input
            type="checkbox"
            checked={management}
            onChange={(event) => setManagement(event.currentTarget.checked)}
          />
          keep loopback and management ports reachable
        </label>
        <label>
          <input type="checkbox" checked={pin} onChange={(event) => setPin(event.currentTarget.checked)} />
          keep enforcing when the agent dies
        </label>
      </div>
      {!management && (
        <p class="note">This page comes over loopback: it may be cut off until the policy falls back.</p>
      )}
      {refused !== undefined && (
        <p class="note" role="alert">
          {visible(refused.message, 1000)}
          {refused.hint !== null && ` ${visible(refused.hint, 1000)}`}
        </p>
      )}
      <button type="submit" class="do" disabled={pending || model.deadline !== undefined}>
        {audit ? "apply in audit" : "apply"}
      </button>
      {model.deadline !== undefined && <span class="s"> Another generation waits for its confirmation.</span>}
      {asking && (
        <Dialog title="Apply without a way back?" onClose={() => setAsking(false)}>
          <p class="mid">
            It holds at once and for good. If it cuts you off, `x0 policy reset` on the machine itself gets
            back in.
          </p>
          <div class="acts">
            <button type="button" class="danger" onClick={send}>
              apply
            </button>
            <button type="button" onClick={() => setAsking(false)}>
              not yet
            </button>
          </div>
        </Dialog>
      )}
    </form>
  );
}

export function changeText({ generation, added, changed, unchanged, removed }: Change): string {
  const said = (
    [
      ["added", added],
      ["changed", changed],
      ["removed", removed],
    ] as const
  ).flatMap(([word, names]) =>
    names.length === 0 ? [] : [`${names.length} ${plural(names.length, "document")} ${word}`],
  );
  const rest = unchanged.length === 0 ? [] : [`${unchanged.length} unchanged`];
  return `Generation ${generation}: ${[...said, ...rest].join(", ")}.`;
}
