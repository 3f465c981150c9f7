/** One document at the right: what it says, whom it selects, what its rules decided, and the way to get rid of it. */
import { useEffect, useState } from "preact/hooks";
import { ApiError, getJson } from "../api.ts";
import { Copy } from "../copy.tsx";
import { Dialog } from "../dialogs.tsx";
import { absolute, ago, bytes, count, exact } from "../format.ts";
import { Badge } from "../icons.tsx";
import { visible, visibleText } from "../visible.ts";
import type { PolicyModel } from "./model.ts";
import { PanelHead } from "./panel-head.tsx";
import type { PolicyDocument, PolicyWarning, WholeDocument } from "./shapes.ts";
import { kindText, sectionText, selectsText, Verdict } from "./words.tsx";

interface Props {
  readonly model: PolicyModel;
  readonly name: string;
  readonly kind: string | undefined;
  readonly nowMs: number;
  onRehearse(text: string): void;
  onClose(): void;
}

export function DocumentPanel({ model, name, kind, nowMs, onRehearse, onClose }: Props) {
  const [asking, setAsking] = useState(false);
  const found = model.documents.find((one) => one.name === name && (kind === undefined || one.kind === kind));
  const text = useText(found);
  const warnings = model.warnings.filter(({ policy }) => policy === name);
  return (
    <aside class="side" aria-label="Selected document">
      <PanelHead onClose={onClose}>
        {visible(name)} <span class="mid">{found === undefined ? "" : kindText(found.kind)}</span>
      </PanelHead>
      {found === undefined ? (
        <div class="sec">
          <p class="mid">
            {model.state === undefined
              ? "Asking the node…"
              : "No document of this name is applied: it was deleted, or its generation fell back."}
          </p>
        </div>
      ) : (
        <>
          <Facts document={found} nowMs={nowMs} />
          {warnings.length > 0 && <Warnings warnings={warnings} />}
          <Decisions model={model} name={name} />
          <div class="sec">
            <h3>Text</h3>
            {text instanceof ApiError ? (
              <p class="note">{visible(text.message)}</p>
            ) : (
              <pre class="yaml">{text === undefined ? "…" : visibleText(text)}</pre>
            )}
          </div>
          <div class="acts">
            <button
              type="button"
              disabled={typeof text !== "string"}
              onClick={() => typeof text === "string" && onRehearse(text)}
            >
              edit a copy
            </button>
            {typeof text === "string" && (
              <Copy class="" text={visibleText(text)} title="Copy the document">
                copy YAML
              </Copy>
            )}
            <Copy class="" text={location.href} title="The address of this view">
              copy link
            </Copy>
            <button type="button" class="danger" onClick={() => setAsking(true)}>
              delete…
            </button>
          </div>
        </>
      )}
      {asking && found !== undefined && (
        <Delete
          document={found}
          onClose={() => setAsking(false)}
          onDelete={async () => {
            await model.change("delete", { names: [found.name] });
            setAsking(false);
            onClose();
          }}
        />
      )}
    </aside>
  );
}

function Facts({ document, nowMs }: { document: PolicyDocument; nowMs: number }) {
  const { audit, description, applied, selects, sections } = document;
  const appliedMs = Date.parse(applied);
  const whom = [...(selects?.nodes ?? []), ...(selects?.workloads ?? [])].map((name) => visible(name));
  return (
    <>
      {description !== null && (
        <div class="sec">
          <p>{visible(description, 2000)}</p>
        </div>
      )}
      <div class="sec">
        <dl class="facts">
          {selects !== null && (
            <>
              <dt>mode</dt>
              <dd>
                {audit ? (
                  <Badge mark="audit">audit: tells, and denies nothing</Badge>
                ) : (
                  <Badge mark="ok">enforced</Badge>
                )}
              </dd>
              <dt>selects</dt>
              <dd>
                {selectsText(document)}
                {whom.length > 0 && <span class="dim"> {whom.join(", ")}</span>}
              </dd>
            </>
          )}
          {sections.map((section) => (
            <>
              <dt>{section.direction}</dt>
              <dd>{sectionText(section)}</dd>
            </>
          ))}
          <dt>applied</dt>
          <dd title={absolute(appliedMs)}>{ago(Math.max(0, nowMs - appliedMs))}</dd>
        </dl>
      </div>
    </>
  );
}

function Warnings({ warnings }: { warnings: readonly PolicyWarning[] }) {
  return (
    <div class="sec">
      <h3>
        <Badge mark="warning">Hardly meant</Badge>
      </h3>
      <ul class="problems">
        {warnings.map(({ path, message, hint }) => (
          <li key={`${path} ${message}`}>
            <span class="m dim">{visible(path)}</span> {visible(message, 1000)}
            {hint !== undefined && <span class="dim">. {visible(hint)}</span>}
          </li>
        ))}
      </ul>
    </div>
  );
}

function Decisions({ model, name }: { model: PolicyModel; name: string }) {
  const rules = model.rules.filter(({ policy }) => policy === name);
  return (
    <div class="sec">
      <h3>Verdicts</h3>
      {rules.length === 0 && <p class="mid">None since the agent's start.</p>}
      {rules.length > 0 && (
        <table class="both">
          <thead>
            <tr>
              <th>rule</th>
              <th>verdict</th>
              <th class="n">flows</th>
              <th class="n">packets</th>
              <th class="n">bytes</th>
            </tr>
          </thead>
          <tbody>
            {rules.map(({ id, path, decision, flows, packets, bytes: size }) => (
              <tr key={`${id} ${decision}`}>
                <th scope="row" class="path">
                  {visible(path)}
                </th>
                <td>
                  <Verdict decision={decision} />
                </td>
                <td class="n" title={exact(flows)}>
                  {count(flows)}
                </td>
                <td class="n" title={exact(packets)}>
                  {count(packets)}
                </td>
                <td class="n" title={exact(size, "B")}>
                  {bytes(size)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}

interface DeleteProps {
  readonly document: PolicyDocument;
  onDelete(): Promise<void>;
  onClose(): void;
}

function Delete({ document: { name, kind, sections }, onDelete, onClose }: DeleteProps) {
  const [pending, setPending] = useState(false);
  const [refused, setRefused] = useState<ApiError>();
  const opens = sections.filter(({ defaultDeny }) => defaultDeny).map(({ direction }) => direction);
  const submit = (event: Event): void => {
    event.preventDefault();
    setPending(true);
    onDelete().catch((error: ApiError) => {
      setRefused(error);
      setPending(false);
    });
  };
  return (
    <Dialog title={`Delete ${visible(name)}?`} onClose={onClose}>
      <form onSubmit={submit}>
        <p class="mid">
          The {kindText(kind)} is taken out of force at once, and is not kept.
          {opens.length > 0 &&
            ` It denies the rest of ${[...new Set(opens)].join(" and ")}: unless another document does so too, all of that passes then.`}
        </p>
        {refused !== undefined && (
          <p class="note" role="alert">
            {visible(refused.message)} {refused.hint !== null && visible(refused.hint)}
          </p>
        )}
        <div class="acts">
          <button type="submit" class="danger" disabled={pending}>
            delete
          </button>
          <button type="button" onClick={onClose}>
            keep
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** Asked when another document is opened, or this one is applied anew. */
function useText(document: PolicyDocument | undefined): string | ApiError | undefined {
  const [answer, setAnswer] = useState<{ readonly key: string; readonly text: string | ApiError }>();
  const key = document === undefined ? "" : `${document.kind} ${document.name} ${document.applied}`;
  useEffect(() => {
    if (document === undefined) return;
    const abort = new AbortController();
    const { kind, name } = document;
    getJson<WholeDocument>(
      `/api/v1/policy/document?${new URLSearchParams({ kind, name })}`,
      abort.signal,
    ).then(
      ({ text }) => setAnswer({ key, text }),
      (error) => abort.signal.aborted || setAnswer({ key, text: error }),
    );
    return () => abort.abort();
  }, [key]);
  return answer?.key === key ? answer.text : undefined;
}
