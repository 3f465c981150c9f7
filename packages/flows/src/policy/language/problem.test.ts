import { expect, test } from "vitest";
import { describeProblem, exitOf, type Problem } from "./problem.ts";

const problem: Problem = {
  severity: "unsupported",
  file: "a.yaml",
  document: 2,
  line: 7,
  column: 5,
  path: "spec.ingress[0].fromRequires",
  message: "it is gone",
  hint: "add labels",
};

test("a problem is one line with its place, fit for a terminal", () => {
  expect(describeProblem(problem)).toBe(
    "a.yaml:7:5: document 2, spec.ingress[0].fromRequires: not supported: it is gone (add labels)",
  );
  const { hint: _, ...bare } = problem;
  expect(describeProblem({ ...bare, document: 0, path: "", severity: "malformed" })).toBe(
    "a.yaml:7:5: it is gone",
  );
  expect(describeProblem({ ...bare, path: "", severity: "warning" })).toBe(
    "a.yaml:7:5: document 2: warning: it is gone",
  );
  expect(describeProblem({ ...problem, file: "\x1b]0;x\x07", message: "a\nb\u202e" })).not.toMatch(
    /[\p{Cc}\p{Cf}]/u,
  );
});

test("what is malformed outranks what is unsupported; warnings are no failure", () => {
  const of = (...severities: readonly Problem["severity"][]): number =>
    exitOf(severities.map((severity) => ({ ...problem, severity })));
  expect([of(), of("warning"), of("warning", "unsupported"), of("unsupported", "malformed")]).toEqual([
    0, 0, 3, 1,
  ]);
});
