/** Files of policies as they would be applied here, without applying them. */

import { documentOf, policiesIn } from "./answers.ts";
import type { PolicyConfig } from "./config.ts";
import { createReader, type PolicyText } from "./documents.ts";
import { inspect } from "./inspect.ts";
import { exitOf, type Problem } from "./language/problem.ts";
import type { PolicySet, World } from "./model.ts";
import { resolversOf } from "./resolvers.ts";
import type { DocumentAnswer } from "./schema.ts";

export interface Checked {
  /** Undefined where something is wrong. */
  readonly set: PolicySet | undefined;
  readonly documents: readonly Omit<DocumentAnswer, "audit" | "applied">[];
  /** In the order of files and lines; warnings among them. */
  readonly problems: readonly Problem[];
}

/** Never throws for what the files hold. */
export function readCheck(files: readonly PolicyText[], config: PolicyConfig, world: World): Checked {
  const reader = createReader(config);
  const { parsed, problems } = reader.parse(files);
  if (exitOf(problems) !== 0) return { set: undefined, documents: [], problems };
  const empty = files
    .filter(({ name }) => !parsed.some(({ file }) => file === name))
    .map(({ name: file }): Problem => {
      const at = { file, document: 0, line: 1, column: 1, path: "" };
      return { severity: "warning", ...at, message: "holds no document" };
    });
  const { set, warnings } = reader.assemble(parsed, new Set());
  const remarks = inspect(set, world, resolversOf(config)).map(({ policy, ...remark }): Problem => {
    const { file, document, line } = parsed.find(
      (one) => "kind" in one && one.name === policy,
    ) as (typeof parsed)[0];
    return { severity: "warning", file, document, line, column: 1, ...remark };
  });
  const policyOf = policiesIn(set);
  return {
    set,
    documents: parsed.map((one) => {
      const kind = "kind" in one ? one.kind : "CiliumCIDRGroup";
      return documentOf({ kind, name: one.name }, policyOf({ kind, name: one.name }), world);
    }),
    problems: [...empty, ...problems, ...warnings, ...remarks],
  };
}
