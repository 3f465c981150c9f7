/**
 * Text → trees. Composing and parsing are the YAML library's; what it is not asked to do is to decide types, follow
 * aliases or look for keys that stand twice (it compares each with each): that is done here, within limits.
 */
import { Composer, CST, isAlias, isMap, isScalar, isSeq, Lexer, type Node, Parser } from "yaml";
import { policyLimits } from "./limits.ts";
import type { Report } from "./problem.ts";
import { type Position, scalarKind, type Tree } from "./tree.ts";

export interface ComposedDocument {
  /** From 1. */
  readonly number: number;
  readonly tree: Tree;
  /** As it was written, without the marks around it. */
  readonly source: string;
}

/** @returns the documents that are not empty; what is wrong goes to the report. */
export function composeDocuments(text: string, report: Report): ComposedDocument[] {
  const body = text.replace(/^\ufeff/, "");
  const positionOf = positions(body);
  const refuse = (offset: number, message: string, document = 0, hint?: string): void =>
    report.add({
      severity: "malformed",
      document,
      ...positionOf(offset),
      path: "",
      message,
      ...(hint === undefined ? {} : { hint }),
    });
  if (Buffer.byteLength(body) > policyLimits.fileBytes) {
    refuse(0, `larger than ${policyLimits.fileBytes} bytes`, 0, "split the file");
    return [];
  }
  /** Of the control characters only tab and line ends, and no half of a surrogate pair. */
  const control = /\r(?!\n)|(?![\t\r\n])\p{Cc}|\p{Cs}|[\ufeff\ufffe\uffff]/u.exec(body);
  if (control !== null) {
    const code = control[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    refuse(control.index, `the character U+${code} is not allowed in YAML here`);
    return [];
  }
  const tokens = parseTokens(body, refuse);
  if (tokens === undefined) return [];
  return compose(tokens, body, refuse, positionOf, report);
}

type Refuse = (offset: number, message: string, document?: number, hint?: string) => void;

/** @returns undefined where a limit was met. */
function parseTokens(text: string, refuse: Refuse): CST.Token[] | undefined {
  const parser = new Parser();
  const tokens: CST.Token[] = [];
  let aliases = 0;
  let isText = false;
  for (const lexeme of new Lexer().lex(text)) {
    const type = isText ? "scalar" : CST.tokenType(lexeme);
    isText = lexeme === CST.SCALAR;
    const at = parser.offset;
    if (type === "tag" || type === "directive-line") {
      const what = type === "tag" ? "a tag" : "a directive";
      refuse(
        at,
        `${what} (${lexeme.trim().slice(0, 32)}) is not read`,
        0,
        "leave it out: types follow from the fields",
      );
      return undefined;
    }
    if (type === "alias" && ++aliases > policyLimits.aliases) {
      refuse(at, `more than ${policyLimits.aliases} aliases`, 0, "write out what they stand for");
      return undefined;
    }
    for (const token of parser.next(lexeme)) tokens.push(token);
    if (parser.stack.length > policyLimits.depth) {
      refuse(at, `nested deeper than ${policyLimits.depth} levels`);
      return undefined;
    }
  }
  for (const token of parser.end()) tokens.push(token);
  return tokens;
}

function compose(
  tokens: readonly CST.Token[],
  text: string,
  refuse: Refuse,
  positionOf: (offset: number) => Position,
  report: Report,
): ComposedDocument[] {
  const documents: ComposedDocument[] = [];
  const composer = new Composer({ schema: "failsafe", uniqueKeys: false, prettyErrors: false, strict: true });
  let number = 0;
  let end = 0;
  for (const document of withoutStacks(() => [...composer.compose(tokens)])) {
    if (report.isFull) break;
    number++;
    const begin = end;
    end = document.range[2];
    if (number > policyLimits.documents) {
      refuse(document.range[0], `more than ${policyLimits.documents} documents`, 0, "split the file");
      break;
    }
    const before = report.problems.length;
    for (const { pos, message } of document.errors.slice(0, policyLimits.problems))
      refuse(pos[0], yamlMessage(message), number);
    if (document.errors.length > 0 || document.contents === null) continue;
    const tree = treeMaker(number, refuse, positionOf)(document.contents as Node);
    if (tree === undefined || isNothing(tree) || report.problems.length > before) continue;
    documents.push({ number, tree, source: withoutMarks(text.slice(begin, document.range[2])) });
  }
  return documents;
}

/** Comments before the document are its own. */
function withoutMarks(text: string): string {
  return text
    .replace(/^(?:\s*\.\.\.[^\n]*\n)?\s*---(?:[ \t]*\r?\n|[ \t]+|$)/, "")
    .replace(/\n\.\.\.\s*$/, "\n");
}

/** A file of a million syntax errors costs seconds otherwise, for stacks that nobody reads. */
function withoutStacks<Result>(work: () => Result): Result {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return work();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function yamlMessage(message: string): string {
  const line = message.split("\n")[0] as string;
  return `not YAML: ${line.length > 200 ? `${line.slice(0, 200)}…` : line}`;
}

const isNothing = (tree: Tree): boolean => tree.kind === "scalar" && tree.plain && tree.text === "";

/** @returns a function that answers undefined where something was refused. */
function treeMaker(
  number: number,
  refuse: Refuse,
  positionOf: (offset: number) => Position,
): (node: Node) => Tree | undefined {
  /** Undefined: its own content is still being made. */
  const anchors = new Map<string, Tree | undefined>();
  const make = (node: Node): Tree | undefined => {
    const offset = node.range?.[0] ?? 0;
    const at = positionOf(offset);
    if (isAlias(node)) {
      const tree = anchors.get(node.source);
      if (tree === undefined)
        refuse(offset, `the alias *${node.source} stands for nothing before it`, number);
      return tree;
    }
    const anchor = "anchor" in node ? (node.anchor as string | undefined) : undefined;
    if (anchor !== undefined) anchors.set(anchor, undefined);
    let tree: Tree | undefined;
    if (isMap(node)) {
      const entries: { key: string; line: number; column: number; value: Tree }[] = [];
      const keys = new Set<string>();
      for (const { key, value } of node.items) {
        const keyOffset = (key as Node | null)?.range?.[0] ?? offset;
        if (!isScalar(key) || typeof key.value !== "string") {
          refuse(keyOffset, "a key must be text", number);
          continue;
        }
        const name = key.value;
        const isPlain = key.type === "PLAIN";
        if (scalarKind(name, isPlain) !== "text")
          refuse(keyOffset, `the key ${name} is not text to all readers of YAML`, number, "quote it");
        if (name === "<<" && isPlain)
          refuse(keyOffset, "a merge key (<<) is not read", number, "write the fields out");
        else if (keys.has(name))
          refuse(keyOffset, `the key ${name} stands twice`, number, "keep one of them");
        keys.add(name);
        const made: Tree | undefined =
          value === null
            ? { kind: "scalar", text: "", plain: true, ...positionOf(keyOffset) }
            : make(value as Node);
        if (made !== undefined) entries.push({ key: name, ...positionOf(keyOffset), value: made });
      }
      tree = { kind: "map", entries, ...at };
    } else if (isSeq(node)) {
      const items = node.items.flatMap((item) => make(item as Node) ?? []);
      tree = { kind: "list", items, ...at };
    } else if (isScalar(node)) {
      tree = { kind: "scalar", text: String(node.value ?? ""), plain: node.type === "PLAIN", ...at };
    }
    if (anchor !== undefined && tree !== undefined) anchors.set(anchor, tree);
    return tree;
  };
  return make;
}

/** Offset → line and column. */
function positions(text: string): (offset: number) => Position {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (starts[low] as number) + 1 };
  };
}
