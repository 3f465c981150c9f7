/** What each rule decided: the verdicts since the agent's start, and those of the last seconds. */
import { bytes, count, exact, perSecond } from "../format.ts";
import { visible } from "../visible.ts";
import type { PolicyModel, Rule } from "./model.ts";
import type { PolicyView, RuleSort } from "./query.ts";
import { Verdict } from "./words.tsx";

interface Props {
  readonly model: PolicyModel;
  readonly view: PolicyView;
  onSort(key: RuleSort): void;
  onSelect(rule: Rule): void;
}

/** Lines of the table; a set of ten thousand rules is asked for by its document or decision. */
const mostLines = 500;

const heads: readonly (readonly [key: RuleSort, title: string, name: string, hint: string])[] = [
  ["decision", "verdict", "w-verdict", "what the rule decided"],
  ["policy", "rule", "", "document, and where the rule stands in it"],
  ["flows", "flows", "w-count n x1", "connections, and packets that belong to none"],
  ["packets", "packets", "w-count n", "since the agent's start"],
  ["bytes", "bytes", "w-count n x1", "since the agent's start"],
  ["rate", "now", "w-count n", "packets a second, in the last seconds"],
];

export function Rules({ model, view, onSort, onSelect }: Props) {
  const wanted = sorted(
    model.rules.filter(({ decision }) => view.decision === undefined || decision === view.decision),
    view.sort,
  );
  return (
    <div class="grid-scroll">
      {/* biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: selectable lines make it a grid */}
      <table class="fl lines rules" role="grid">
        <caption class="sr">Verdicts by rule</caption>
        <thead>
          <tr>
            {heads.map(([key, title, name, hint]) => (
              <th key={key} class={name} aria-sort={sortOf(view, key)}>
                <button type="button" class="sort" title={hint} onClick={() => onSort(key)}>
                  {title}
                  {view.sort.key === key && (view.sort.descending ? " ↓" : " ↑")}
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {wanted.slice(0, mostLines).map((rule, index) => (
            <Line key={`${rule.id} ${rule.decision}`} {...{ rule, index, view, onSelect }} />
          ))}
        </tbody>
      </table>
      {wanted.length > mostLines && (
        <p class="foot s">
          {mostLines} of {exact(wanted.length)} rules: the others are behind their documents.
        </p>
      )}
    </div>
  );
}

interface LineProps extends Pick<Props, "view" | "onSelect"> {
  readonly rule: Rule;
  readonly index: number;
}

function Line({ rule, index, view, onSelect }: LineProps) {
  const { id, decision, policy, path, flows, packets, packetsPerSecond: now } = rule;
  const isOwn = policy === "";
  return (
    <tr
      data-line={`rule ${id} ${decision}`}
      tabIndex={index === 0 ? 0 : -1}
      aria-selected={!isOwn && policy === view.document}
      onClick={() => onSelect(rule)}
    >
      <td>
        <Verdict decision={decision} />
      </td>
      <td title={isOwn ? path : `${visible(policy)}, ${visible(path)}`}>
        {isOwn ? (
          <span class="mid">{path === "session" ? "sessions that apply policies" : "management"}</span>
        ) : (
          <>
            {visible(policy)} <span class="dim">{visible(path.replace(/^spec\./, ""))}</span>
          </>
        )}
      </td>
      <td class={flows === 0 ? "n dim x1" : "n x1"} title={exact(flows, "flows")}>
        {count(flows)}
      </td>
      <td class={packets === 0 ? "n dim" : "n"} title={exact(packets, "packets")}>
        {count(packets)}
      </td>
      <td class={packets === 0 ? "n dim x1" : "n x1"} title={exact(rule.bytes, "B")}>
        {bytes(rule.bytes)}
      </td>
      <td class={now === undefined || now === 0 ? "n dim" : decision === "allow" ? "n" : "n bold"}>
        {now === undefined ? "–" : perSecond(now < 10 ? Number(now.toFixed(1)) : Math.round(now))}
      </td>
    </tr>
  );
}

function sortOf({ sort }: PolicyView, key: RuleSort): "ascending" | "descending" | undefined {
  if (sort.key !== key) return undefined;
  return sort.descending ? "descending" : "ascending";
}

function sorted(rules: readonly Rule[], { key, descending }: PolicyView["sort"]): Rule[] {
  const sign = descending ? -1 : 1;
  const order = ["allow", "audit", "deny"];
  const value = (rule: Rule): number | string => {
    if (key === "decision") return order.indexOf(rule.decision);
    if (key === "policy") return `${rule.policy} ${rule.path}`;
    return key === "rate" ? (rule.packetsPerSecond ?? 0) : rule[key];
  };
  return rules.toSorted((a, b) => {
    const [left, right] = [value(a), value(b)];
    return (left < right ? -1 : left > right ? 1 : a.id - b.id) * sign;
  });
}
