/** The page of one flow, at the right of the table: what it is, what happened on it, and where to go from it. */
import { title } from "../describe.ts";
import type { Filter } from "../query.ts";
import type { FlowDetail } from "./detail.ts";
import { Facts } from "./facts.tsx";
import { FlowVerdict } from "./verdict.tsx";

interface Props {
  readonly id: string;
  readonly detail: FlowDetail;
  readonly nowMs: number;
  onClose(): void;
  onFilter(filter: Filter): void;
  onService(key: string): void;
}

export function SidePanel({ id, detail, nowMs, onClose, onFilter, onService }: Props) {
  const { flow } = detail;
  return (
    <aside class="side" aria-label="Selected flow">
      <div class="sec top">
        <h2>
          {flow === undefined ? (
            `flow ${id}`
          ) : (
            <>
              <FlowVerdict flow={flow} /> <span class="mid">{title(flow)}</span>
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
      {flow === undefined ? (
        <Unknown {...{ id, detail }} />
      ) : (
        <Facts {...{ flow, detail, nowMs, onFilter, onService }} />
      )}
    </aside>
  );
}

function Unknown({ id, detail: { flowAnswer } }: { id: string; detail: FlowDetail }) {
  return (
    <div class="sec">
      <p class="mid">{unknown(id, flowAnswer)}</p>
    </div>
  );
}

function unknown(id: string, answer: FlowDetail["flowAnswer"]): string {
  const here = `Flow ${id} is not among the flows that match here`;
  if (answer === "loading") return "Asking the node…";
  if (answer === "here") return `${here}, and the node's record does not hold it.`;
  if (answer === "missing")
    return `${here}, and this node cannot be asked for a flow by its id. It is older than what is loaded, does not match the filter, or belongs to an earlier run of the node.`;
  return `${here}. The node could not be asked for it: ${answer.message}`;
}
