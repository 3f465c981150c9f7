/** A document before it is applied: written, checked as it is typed, held against recorded flows, then put in force. */
import { useRef, useState } from "preact/hooks";
import { ApiError, getJson } from "../api.ts";
import { exact } from "../format.ts";
import { Badge } from "../icons.tsx";
import { visible } from "../visible.ts";
import { Apply } from "./apply.tsx";
import { asApiError, joined, useCheck, useDraft } from "./draft.ts";
import type { PolicyModel } from "./model.ts";
import { PanelHead } from "./panel-head.tsx";
import { Recorded } from "./recorded.tsx";
import type { Change, Checked, Problem, Suggestion } from "./shapes.ts";
import { kindText, plural, sectionText, selectsText } from "./words.tsx";

interface Props {
  readonly model: PolicyModel;
  onApplied(change: Change): void;
  onClose(): void;
}

const example = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: ssh-and-web
spec:
  endpointSelector: {}
  ingress:
  - toPorts:
    - ports:
      - {port: "22", protocol: TCP}
      - {port: "443", protocol: TCP}
  - icmps:
    - fields:
      - {type: 8, family: IPv4}
`;

export function Rehearse({ model, onApplied, onClose }: Props) {
  const [text, setText] = useDraft();
  const checked = useCheck(text);
  const area = useRef<HTMLTextAreaElement>(null);
  const goTo = (line: number): void => {
    const start = text.split("\n", line - 1).join("\n").length + (line > 1 ? 1 : 0);
    const end = text.indexOf("\n", start);
    area.current?.focus();
    area.current?.setSelectionRange(start, end < 0 ? text.length : end);
  };
  const applied = (change: Change): void => {
    setText("");
    onApplied(change);
  };
  const isValid = checked !== undefined && !(checked instanceof ApiError) && checked.valid;
  return (
    <aside class="side rehearse" aria-label="Rehearse and apply">
      <PanelHead onClose={onClose}>
        Rehearse and apply <span class="mid s">nothing changes before you apply</span>
      </PanelHead>
      <Editor {...{ text, area }} onText={setText} />
      {text.trim() !== "" && <Findings checked={checked} onLine={goTo} />}
      {isValid && <Recorded key={text} text={text} />}
      {isValid && <Apply model={model} text={text} onApplied={applied} />}
    </aside>
  );
}

interface EditorProps {
  readonly text: string;
  readonly area: { current: HTMLTextAreaElement | null };
  onText(text: string): void;
}

function Editor({ text, area, onText }: EditorProps) {
  const [over, setOver] = useState(false);
  const [refused, setRefused] = useState("");
  const [pending, setPending] = useState(false);
  const chooser = useRef<HTMLInputElement>(null);
  const take = (files: FileList | null | undefined): void => {
    setRefused("");
    if (files == null || files.length === 0) return;
    joined([...files]).then(onText, (error) => setRefused(String(error.message ?? error)));
  };
  const suggest = (): void => {
    setRefused("");
    setPending(true);
    getJson<Suggestion>("/api/v1/policy/suggest?since=24h")
      .then(({ yaml }) => onText(yaml))
      .catch((error) => setRefused(asApiError(error).message))
      .finally(() => setPending(false));
  };
  return (
    <div class="sec">
      <textarea
        ref={area}
        class={over ? "over" : undefined}
        aria-label="YAML of policies"
        placeholder="Paste CiliumNetworkPolicy documents here, or drop files"
        spellcheck={false}
        autocomplete="off"
        rows={text === "" ? 6 : 16}
        value={text}
        onInput={(event) => onText(event.currentTarget.value)}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          take(event.dataTransfer?.files);
        }}
        onKeyDown={(event) => {
          if (event.key === "Escape") event.currentTarget.blur();
        }}
      />
      <input
        ref={chooser}
        type="file"
        class="sr"
        tabIndex={-1}
        multiple
        accept=".yaml,.yml,.json"
        aria-label="Files of policies"
        onChange={(event) => take(event.currentTarget.files)}
      />
      <div class="row">
        <button type="button" onClick={() => chooser.current?.click()}>
          files…
        </button>
        <button
          type="button"
          disabled={pending}
          title="Writes the smallest policy that allows what was recorded (x0 policy suggest --from 24h)"
          onClick={suggest}
        >
          suggest from 24 h
        </button>
        {text === "" ? (
          <button type="button" onClick={() => onText(example)}>
            example
          </button>
        ) : (
          <button type="button" onClick={() => onText("")}>
            clear
          </button>
        )}
      </div>
      {refused !== "" && (
        <p class="note" role="alert">
          {visible(refused)}
        </p>
      )}
    </div>
  );
}

interface FindingsProps {
  readonly checked: Checked | ApiError | undefined;
  onLine(line: number): void;
}

function Findings({ checked, onLine }: FindingsProps) {
  if (checked === undefined)
    return (
      <div class="sec">
        <p class="dim">Checking…</p>
      </div>
    );
  if (checked instanceof ApiError)
    return (
      <div class="sec">
        <p class="note" role="alert">
          {visible(checked.message)}
        </p>
      </div>
    );
  const { documents, problems, valid } = checked;
  const wrong = problems.filter(({ severity }) => severity !== "warning").length;
  const warnings = problems.length - wrong;
  return (
    <div class="sec" id="findings">
      <h3 aria-live="polite">
        {valid ? (
          <Badge mark="ok">
            {exact(documents.length)} {plural(documents.length, "document")} can be applied
          </Badge>
        ) : (
          <Badge mark="error">
            {exact(wrong)} {plural(wrong, "problem")}: cannot be applied
          </Badge>
        )}
        {warnings > 0 && (
          <>
            {" "}
            <Badge mark="warning">
              {warnings} {plural(warnings, "warning")}
            </Badge>
          </>
        )}
      </h3>
      <ul class="problems">
        {problems.map((problem) => (
          <Finding key={JSON.stringify(problem)} problem={problem} onLine={onLine} />
        ))}
      </ul>
      <dl class="facts">
        {documents.map((document) => (
          <>
            <dt title={kindText(document.kind)}>{visible(document.name)}</dt>
            <dd>
              selects {selectsText(document)}
              {document.sections.map((section) => (
                <span class="dim block" key={section.path}>
                  {sectionText(section)}
                </span>
              ))}
            </dd>
          </>
        ))}
      </dl>
    </div>
  );
}

const severityWords: Readonly<Record<Problem["severity"], string>> = {
  malformed: "",
  unsupported: "not supported: ",
  warning: "",
};

function Finding({ problem, onLine }: { problem: Problem; onLine(line: number): void }) {
  const { severity, line, path, message, hint } = problem;
  return (
    <li class={severity}>
      <button type="button" class="l" title="Show the line" onClick={() => onLine(line)}>
        line {line}
      </button>
      {path !== "" && <span class="m dim">{visible(path)} </span>}
      {severityWords[severity]}
      {visible(message, 1000)}
      {hint !== undefined && <span class="dim">. {visible(hint, 1000)}</span>}
    </li>
  );
}
