/** The policy page: what is applied, what its rules decide, who may talk to whom, and how another policy comes in. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { Copy } from "../copy.tsx";
import { Features, Help, type HelpKeys } from "../dialogs.tsx";
import { exact } from "../format.ts";
import { Bar, type LiveState, pageKeys, Rail } from "../frame.tsx";
import { useKeys } from "../keys.ts";
import { useSearch } from "../location.ts";
import { FlowsModel } from "../model.ts";
import { formatView, newestFirst, shellWord } from "../query.ts";
import { Broken } from "../states.tsx";
import { useTheme } from "../theme.ts";
import { UrlBar } from "../url-bar.tsx";

import { CellPanel } from "./cell-panel.tsx";
import { Countdown } from "./countdown.tsx";
import { DocumentPanel } from "./document-panel.tsx";
import { Documents, documentKey } from "./documents.tsx";
import { keepDraft } from "./draft.ts";
import { Generations } from "./generations.tsx";
import { lineKeys } from "./lines.ts";
import { MatrixPanel } from "./matrix.tsx";
import { PolicyModel } from "./model.ts";
import { closed, formatPolicyView, type PolicyView, parsePolicyView, type RuleSort } from "./query.ts";
import { Rehearse } from "./rehearse.tsx";
import { Rules } from "./rules.tsx";
import { peerKey, portKey, seenIn } from "./seen.ts";
import { type Change, decisions, type PolicyDocument } from "./shapes.ts";
import { Nothing, Standing } from "./standing.tsx";
import { decisionWords } from "./words.tsx";

const helpKeys: HelpKeys = [
  ["r", "rehearse and apply a policy"],
  ["c", "go to confirm, when a policy waits for it"],
  ["e", "ingress or egress"],
  ["/", "search flows"],
  ["f", "edit the URL of this view"],
  ["g f", "go to Flows"],
  ["g p", "go to Policy, with nothing open"],
  ["↑ ↓ Enter", "walk through the tables, open"],
  ["← → ↑ ↓", "walk through the matrix, once a cell has the focus"],
  ["Esc", "close what is open"],
  ["Space", "pause, go on"],
  ["t", "light or dark"],
  ["?", "this list"],
];

export function PolicyPage() {
  const { search, path, show } = useSearch();
  const { view, problems } = parsePolicyView(search);
  const flows = useMemo(() => new FlowsModel(), []);
  const model = useMemo(() => new PolicyModel(() => flows.nodeTimeMs()), []);
  const [theme, flipTheme] = useTheme();
  const [dialog, setDialog] = useState<"help" | "features">();
  const [change, setChange] = useState<Change>();
  useRedraw(model, flows);
  useEffect(() => model.show(view), [view.direction, view.endpoint, view.live]);
  useEffect(() => flows.show({ filter: {}, sort: newestFirst, live: view.live }), [view.live]);
  useEffect(() => () => model.stop(), []);
  const host = model.state?.node.name ?? flows.health?.host;
  useEffect(() => {
    document.title = host === undefined ? "Policy" : `Policy on ${host}`;
  }, [host]);

  const go = (next: PolicyView, how?: "push" | "replace"): void => show(formatPolicyView(next), how);
  const close = (): void => go(closed(view));
  const rehearse = (): void => go({ ...closed(view), panel: "rehearse" });
  const openDocument = ({ kind, name }: PolicyDocument): void => {
    const isOnly = model.documents.filter((one) => one.name === name).length === 1;
    go({ ...closed(view), document: name, ...(isOnly ? {} : { kind }) });
  };
  const openPolicy = (name: string): void => {
    const found = model.documents.find((one) => one.name === name);
    if (found !== undefined) openDocument(found);
  };
  const turn = (): void =>
    go({ ...view, direction: view.direction === "ingress" ? "egress" : "ingress" }, "replace");
  const toggleLive = (): void => go({ ...view, live: !view.live });
  const sortBy = (key: RuleSort): void => {
    const descending = view.sort.key === key ? !view.sort.descending : key !== "policy";
    go({ ...view, sort: { key, descending } }, "replace");
  };
  const lines = lineKeys();
  useKeys({
    ...pageKeys,
    ...lines,
    "g p": () => show(""),
    "/": () => document.getElementById("search")?.focus(),
    f: () => document.getElementById("filter")?.focus(),
    r: rehearse,
    c: () => document.getElementById("confirm")?.focus(),
    e: turn,
    " ": toggleLive,
    t: flipTheme,
    "?": () => setDialog("help"),
    Escape: close,
  });

  const { state, trouble, deadline, matrix: answer } = model;
  const nowMs = flows.nodeTimeMs();
  const second = Math.floor(Date.now() / 1000);
  const matrix = answer?.direction === view.direction ? (answer.matrix ?? undefined) : undefined;
  const workload = answer?.endpoint === answer?.endpoints[0] ? undefined : answer?.endpoint;
  const seen = useMemo(
    () =>
      matrix === undefined
        ? new Map()
        : seenIn(
            { matrix, direction: view.direction, workload },
            [...flows.rows.all()].map(({ flow }) => flow),
          ),
    [matrix, view.live ? second : 0, flows.listed],
  );
  const [row, column] = [
    matrix?.peers.findIndex((one) => peerKey(one) === view.peer) ?? -1,
    matrix?.ports.findIndex((one) => portKey(one) === view.port) ?? -1,
  ];
  const cell = matrix?.verdicts[matrix.cells[row]?.[column] ?? -1];
  const isOpen = view.panel !== undefined || view.document !== undefined || cell !== undefined;
  const isEmpty = state !== undefined && state.counts.documents === 0 && deadline === undefined;
  const selected = model.documents.find(
    ({ name, kind }) => name === view.document && (view.kind === undefined || view.kind === kind),
  );
  return (
    <>
      <Rail
        page="Policy"
        health={flows.health}
        lostPackets={flows.lostPackets}
        onHelp={() => setDialog("help")}
      />
      <Bar
        health={flows.health}
        live={liveState(model, view)}
        theme={theme}
        range={null}
        onLive={toggleLive}
        onTheme={flipTheme}
        onFilter={(filter) =>
          location.assign(`/flows${formatView({ filter, sort: newestFirst, live: true })}`)
        }
      />
      <main class="policy">
        {deadline !== undefined && (
          <Countdown
            key={deadline.generation}
            deadline={deadline}
            isCutOff={trouble?.error.status === 0}
            onSettle={(verb) => model.settle(verb)}
          />
        )}
        <UrlBar
          path={path}
          problems={problems}
          label="This view, as it stands in the address bar"
          check={(text) => parsePolicyView(text).problems}
          onSearch={show}
        >
          <button
            type="button"
            class={isEmpty ? "do" : undefined}
            title="Rehearse a policy (r)"
            onClick={rehearse}
          >
            rehearse, apply
          </button>
          <Copy class="x3" text={command(view)} title={command(view)}>
            copy command
          </Copy>
        </UrlBar>
        <div class={isOpen ? `lay open${view.panel === "rehearse" ? " wide" : ""}` : "lay"}>
          <div class="stack">
            <Standing
              model={model}
              nowMs={nowMs}
              change={change}
              health={flows.health}
              onFeatures={() => setDialog("features")}
            />
            {trouble !== undefined && (
              <Broken trouble={trouble} nowMs={Date.now()} onRetry={() => model.show(view)} />
            )}
            {isEmpty ? (
              <Nothing onRehearse={rehearse} />
            ) : (
              state !== undefined && (
                <div class="pair">
                  <div class="column">
                    <section class="panel" aria-label="Documents">
                      <header>
                        <h2>Documents</h2>
                        <span class="s">what is applied, and whom it selects</span>
                      </header>
                      <Documents
                        model={model}
                        nowMs={nowMs}
                        selected={selected === undefined ? undefined : documentKey(selected)}
                        onSelect={openDocument}
                      />
                    </section>
                    <section class="panel" aria-label="Verdicts by rule">
                      <header>
                        <h2>Verdicts</h2>
                        <span class="s x2">by rule, since the agent's start</span>
                        {/* biome-ignore lint/a11y/useSemanticElements: a fieldset would break the line */}
                        <span class="range r" role="group" aria-label="Only these verdicts">
                          {[undefined, ...decisions].map((decision) => (
                            <button
                              type="button"
                              class="plain"
                              key={decision ?? "all"}
                              aria-pressed={decision === view.decision}
                              onClick={() => {
                                const { decision: _, ...rest } = view;
                                go(decision === undefined ? rest : { ...rest, decision }, "replace");
                              }}
                            >
                              {decision === undefined ? "all" : decisionWords[decision]}
                            </button>
                          ))}
                        </span>
                      </header>
                      <Rules
                        model={model}
                        view={view}
                        onSort={sortBy}
                        onSelect={({ policy }) => openPolicy(policy)}
                      />
                    </section>
                  </div>
                  <div class="column right">
                    <MatrixPanel
                      answer={answer}
                      direction={view.direction}
                      seen={seen}
                      scope={flows.more ? `of the ${exact(flows.rows.size)} newest` : "of all on record"}
                      peer={view.peer}
                      port={view.port}
                      onDirection={(direction) => go({ ...view, direction }, "replace")}
                      onEndpoint={(endpoint) => {
                        const { endpoint: _, ...rest } = view;
                        go(endpoint === undefined ? rest : { ...rest, endpoint }, "replace");
                      }}
                      onCell={(peer, port) =>
                        go({ ...closed(view), peer, port }, cell === undefined ? "push" : "replace")
                      }
                    />
                    <Generations generations={model.generations} />
                  </div>
                </div>
              )
            )}
          </div>
          {view.panel === "rehearse" ? (
            <Rehearse
              model={model}
              onApplied={(applied) => {
                setChange(applied);
                close();
              }}
              onClose={close}
            />
          ) : view.document !== undefined ? (
            <DocumentPanel
              key={view.document}
              model={model}
              name={view.document}
              kind={view.kind}
              nowMs={nowMs}
              onRehearse={(text) => {
                keepDraft(text);
                rehearse();
              }}
              onClose={close}
            />
          ) : (
            cell !== undefined &&
            answer !== undefined &&
            matrix?.peers[row] !== undefined &&
            matrix.ports[column] !== undefined && (
              <CellPanel
                answer={answer}
                peer={matrix.peers[row]}
                port={matrix.ports[column]}
                verdict={cell}
                rule={model.rules.find(({ id, decision }) => id === cell.id && decision === cell.decision)}
                flows={seen.get(row * matrix.ports.length + column) ?? []}
                onPolicy={openPolicy}
                onClose={close}
              />
            )
          )}
        </div>
      </main>
      {dialog === "help" && <Help keys={helpKeys} onClose={() => setDialog(undefined)} />}
      {dialog === "features" && flows.health !== undefined && (
        <Features health={flows.health} onClose={() => setDialog(undefined)} />
      )}
    </>
  );
}

function useRedraw(...models: readonly { onChange(listener: () => void): () => void }[]): void {
  const [, setVersion] = useState(0);
  useEffect(() => {
    const stops = models.map((model) => model.onChange(() => setVersion((version) => version + 1)));
    return () => {
      for (const stop of stops) stop();
    };
  }, []);
}

/** What shows the same in a terminal. */
function command({ panel, document }: PolicyView): string {
  if (panel === "rehearse") return "x0 policy check --against 24h policy.yaml";
  return document === undefined ? "x0 policy list" : `x0 policy show ${shellWord(document)}`;
}

function liveState({ trouble }: PolicyModel, { live }: PolicyView): LiveState {
  if (trouble !== undefined) return "broken";
  return live ? "live" : "paused";
}
