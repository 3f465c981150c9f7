/** The documents that are applied. */
import { absolute, ago, count, exact } from "../format.ts";
import { Badge } from "../icons.tsx";
import { visible } from "../visible.ts";
import type { PolicyModel } from "./model.ts";
import type { PolicyDocument } from "./shapes.ts";
import { kindText, plural, sectionText, selectsText } from "./words.tsx";

interface Props {
  readonly model: PolicyModel;
  readonly nowMs: number;
  /** Kind and name of the one at the right. */
  readonly selected: string | undefined;
  onSelect(document: PolicyDocument): void;
}

export const documentKey = ({ kind, name }: Pick<PolicyDocument, "kind" | "name">): string =>
  `${kind} ${name}`;

export function Documents({ model, nowMs, selected, onSelect }: Props) {
  const denied = new Map<string, number>();
  for (const { policy, decision, packets } of model.rules)
    if (decision !== "allow") denied.set(policy, (denied.get(policy) ?? 0) + packets);
  return (
    <div class="grid-scroll">
      {/* biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: selectable lines make it a grid */}
      <table class="fl lines documents" role="grid">
        <caption class="sr">Documents that are applied</caption>
        <thead>
          <tr>
            <th>document</th>
            <th class="w-mode">mode</th>
            <th class="w-warned" title="valid but probably not intended">
              <span class="sr">warnings</span>
            </th>
            <th class="w-selects x1">selects</th>
            <th class="w-rules n" title="into whom it selects, out of them">
              in / out
            </th>
            <th class="w-count n" title="packets that its rules denied, or would deny">
              denied
            </th>
            <th class="w-ago n x0">applied</th>
          </tr>
        </thead>
        <tbody>
          {model.documents.map((document, index) => {
            const key = documentKey(document);
            const { name, kind, audit, applied, selects, sections, description } = document;
            const warned = model.warnings.filter(({ policy }) => policy === name).length;
            const many = denied.get(name) ?? 0;
            const rules = (direction: string): number =>
              sections.filter((one) => one.direction === direction).reduce((sum, one) => sum + one.rules, 0);
            return (
              <tr
                key={key}
                data-line={`document ${key}`}
                tabIndex={key === selected || (selected === undefined && index === 0) ? 0 : -1}
                aria-selected={key === selected}
                onClick={() => onSelect(document)}
              >
                <td title={`${kindText(kind)}${description === null ? "" : `: ${visible(description)}`}`}>
                  <b>{visible(name)}</b> <span class="dim x0">{kindText(kind)}</span>
                </td>
                <td>
                  {selects === null ? (
                    <span class="dim">–</span>
                  ) : audit ? (
                    <Badge mark="audit">audit</Badge>
                  ) : (
                    <Badge mark="ok">enforced</Badge>
                  )}
                </td>
                <td title={warned === 0 ? undefined : `${warned} ${plural(warned, "warning")}`}>
                  {warned > 0 && <Badge mark="warning">{warned}</Badge>}
                </td>
                <td class="mid x1" title={selects === null ? undefined : whom(selects)}>
                  {selectsText(document)}
                </td>
                <td class="n" title={sections.map(sectionText).join("\n")}>
                  {sections.length === 0 ? (
                    <span class="dim">–</span>
                  ) : (
                    `${rules("ingress")} / ${rules("egress")}`
                  )}
                </td>
                <td class={many === 0 ? "n dim" : "n bold"} title={exact(many, "packets")}>
                  {count(many)}
                </td>
                <td class="n mid x0" title={absolute(Date.parse(applied))}>
                  {ago(Math.max(0, nowMs - Date.parse(applied)))}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** Names in a title; more would not fit the screen. */
const mostNamed = 20;

function whom({ nodes, workloads }: NonNullable<PolicyDocument["selects"]>): string {
  const names = [...nodes, ...workloads].map((name) => visible(name));
  const more = names.length - mostNamed;
  return `${names.slice(0, mostNamed).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
