/** What is wrong with a file of policies: told all at once, each with its place. */
import { type ExitCode, printable } from "@x0tta6bl4/core";

/**
 * `malformed`: Cilium would not take it either. `unsupported`: Cilium knows it, x0 does not. `warning`: it holds, but
 * hardly as it was meant.
 */
export type Severity = "malformed" | "unsupported" | "warning";

export interface Problem {
  readonly severity: Severity;
  readonly file: string;
  /** From 1, in the order of the file; 0 where the whole file is meant. */
  readonly document: number;
  /** From 1. */
  readonly line: number;
  readonly column: number;
  /** `spec.ingress[0].toPorts[1].rules`; empty where the document is meant. */
  readonly path: string;
  readonly message: string;
  /** The next thing to do. */
  readonly hint?: string;
}

/** 0 where nothing but warnings was found; what is malformed outranks what is unsupported. */
export function exitOf(problems: readonly Problem[]): 0 | ExitCode {
  if (problems.some(({ severity }) => severity === "malformed")) return 1;
  return problems.some(({ severity }) => severity === "unsupported") ? 3 : 0;
}

const words = { malformed: "", unsupported: "not supported: ", warning: "warning: " } as const;

/** One line, fit for a terminal whatever the file holds. */
export function describeProblem(problem: Problem): string {
  const { file, line, column, document, path, message, hint } = problem;
  const where = [document === 0 ? "" : `document ${document}`, path].filter((part) => part !== "").join(", ");
  const place = `${file}:${line}:${column}: ${where === "" ? "" : `${where}: `}`;
  return printable(`${place}${words[problem.severity]}${message}${hint === undefined ? "" : ` (${hint})`}`);
}

/** Collects the problems of one file, up to a limit. */
export interface Report {
  readonly problems: readonly Problem[];
  /** Nothing more is read: too many problems, or too much to read. */
  readonly isFull: boolean;
  add(problem: Omit<Problem, "file">): void;
  /** Counts what is read. @returns false once it is too much */
  visit(): boolean;
}

export function openReport(file: string, limits: { problems: number; visits: number }): Report {
  const problems: Problem[] = [];
  let visits = 0;
  let isFull = false;
  const last = (message: string, severity: Severity): void => {
    isFull = true;
    const { document, line, column } = problems.at(-1) ?? { document: 0, line: 1, column: 1 };
    problems.push({ severity, file, document, line, column, path: "", message });
  };
  return {
    problems,
    get isFull() {
      return isFull;
    },
    add(problem) {
      if (isFull) return;
      problems.push({ ...problem, file });
      if (problems.length >= limits.problems) last("more is wrong behind this", "malformed");
    },
    visit() {
      if (!isFull && ++visits > limits.visits)
        last(`more than ${limits.visits} fields, those behind aliases counted each time`, "malformed");
      return !isFull;
    },
  };
}
