/** Files of policies → documents, or all that is wrong with them. */
import { composeDocuments } from "./compose.ts";
import { readDocument } from "./document.ts";
import type { CidrGroup, DraftSpec, PolicyDocument } from "./draft.ts";
import { policyLimits } from "./limits.ts";
import type { NamedPorts } from "./named-ports.ts";
import { openReport, type Problem, type Report } from "./problem.ts";

export interface PolicyFile {
  /** Shown in problems. */
  readonly name: string;
  /** UTF-8. */
  readonly content: string | Uint8Array;
}

export interface ParsedPolicies {
  readonly policies: readonly PolicyDocument[];
  readonly groups: readonly CidrGroup[];
  /** In the order of files and lines. Where anything but warnings is among them, nothing of its file is given. */
  readonly problems: readonly Problem[];
}

/** Never throws for what the files hold. A name may stand once in all of them. */
export function parsePolicies(files: readonly PolicyFile[], names: NamedPorts): ParsedPolicies {
  const parsed = files.map((file) => parseFile(file, names));
  const seen = new Map<string, PolicyDocument | CidrGroup>();
  const duplicates = parsed.flatMap(({ policies, groups }) =>
    [...policies, ...groups].flatMap((document): Problem[] => {
      const kind = "kind" in document ? document.kind : "CiliumCIDRGroup";
      const first = seen.get(`${kind} ${document.name}`);
      seen.set(`${kind} ${document.name}`, first ?? document);
      if (first === undefined) return [];
      const { file, document: number, line } = document;
      const message = `${kind} ${document.name} stands also in ${first.file}, line ${first.line}`;
      return [
        { severity: "malformed", file, document: number, line, column: 1, path: "metadata.name", message },
      ];
    }),
  );
  const problems = [...parsed.flatMap((one) => one.problems), ...duplicates];
  const whole = parsed.filter((_, index) => duplicates.every(({ file }) => file !== files[index]?.name));
  return {
    policies: whole.flatMap(({ policies }) => policies),
    groups: whole.flatMap(({ groups }) => groups),
    problems,
  };
}

function parseFile({ name, content }: PolicyFile, names: NamedPorts): ParsedPolicies {
  const report = openReport(name, policyLimits);
  const policies: PolicyDocument[] = [];
  const groups: CidrGroup[] = [];
  const text = typeof content === "string" ? content : decode(content, report);
  for (const document of text === undefined ? [] : composeDocuments(text, report)) {
    if (report.isFull) break;
    const read = readDocument(document, name, report, names);
    if (read === undefined) continue;
    if ("kind" in read) policies.push(read);
    else groups.push(read);
  }
  const rules = policies.reduce((sum, { specs }) => sum + specs.reduce((n, spec) => n + rulesIn(spec), 0), 0);
  if (rules > policyLimits.rules)
    report.add({
      severity: "malformed",
      document: 0,
      line: 1,
      column: 1,
      path: "",
      message: `${rules} rules, more than ${policyLimits.rules}`,
      hint: "split the file",
    });
  const problems = report.problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
  if (problems.some(({ severity }) => severity !== "warning")) return { policies: [], groups: [], problems };
  return { policies, groups, problems };
}

const rulesIn = ({ ingress, egress }: DraftSpec): number =>
  (ingress?.rules.length ?? 0) + (egress?.rules.length ?? 0);

function decode(bytes: Uint8Array, report: Report): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    const place = { document: 0, line: 1, column: 1, path: "" };
    report.add({ severity: "malformed", ...place, message: "not UTF-8" });
    return undefined;
  }
}
