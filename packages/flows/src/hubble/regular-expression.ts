/**
 * Regular expressions from a client, in the part of RE2's syntax that filters use. They are matched as automata
 * (K. Thompson, "Regular Expression Search Algorithm", CACM 11(6), 1968), because a backtracking matcher would let one
 * pattern hold up the thread: the time is the length of the program times that of the text, whatever they are.
 */

export const expressionLimits = {
  /** Characters of a pattern: those that people write are below a hundred. */
  pattern: 1024,
  /** Instructions that it becomes; what multiplies is `{n,m}` in one another. */
  program: 10_000,
  /** Groups in one another. */
  depth: 32,
  /** Times that `{n,m}` repeats; RE2's own limit. */
  repeats: 1000,
} as const;

type Test = (code: number) => boolean;

type Instruction =
  | { readonly kind: "one"; readonly test: Test }
  | { readonly kind: "fork"; readonly to: readonly number[] }
  | { readonly kind: "begin" | "end" | "match" };

/** What a part of a pattern becomes: given where to go on, it appends itself and says where it starts. */
type Part = (program: Instruction[], next: number) => number;

/** @returns whether the pattern matches somewhere in a text. @throws RangeError */
export function parseExpression(pattern: string): (text: string) => boolean {
  if (pattern.length > expressionLimits.pattern)
    throw new RangeError(`the expression is longer than ${expressionLimits.pattern}`);
  const ignoreCase = pattern.startsWith("(?i)");
  const source = [...(ignoreCase ? pattern.slice(4) : pattern)];
  const parser = { source, at: 0, depth: 0, ignoreCase };
  const part = alternatives(parser);
  if (parser.at < source.length) throw new RangeError(`"${pattern}" has a ")" without "("`);
  // Built from the end, so that each part knows where it goes on.
  const program: Instruction[] = [{ kind: "match" }];
  const start = part(program, 0);
  return (text) => search(program, start, text);
}

interface Parser {
  readonly source: readonly string[];
  at: number;
  depth: number;
  readonly ignoreCase: boolean;
}

function append(program: Instruction[], instruction: Instruction): number {
  if (program.length >= expressionLimits.program)
    throw new RangeError(`the expression becomes longer than ${expressionLimits.program} instructions`);
  return program.push(instruction) - 1;
}

function alternatives(parser: Parser): Part {
  const parts = [sequence(parser)];
  while (parser.source[parser.at] === "|") {
    parser.at++;
    parts.push(sequence(parser));
  }
  if (parts.length === 1) return parts[0] as Part;
  return (program, next) => {
    const to = parts.map((part) => part(program, next));
    return append(program, { kind: "fork", to });
  };
}

function sequence(parser: Parser): Part {
  const parts: Part[] = [];
  for (;;) {
    const character = parser.source[parser.at];
    if (character === undefined || character === "|" || character === ")") break;
    parts.push(repeated(parser));
  }
  return (program, next) => parts.reduceRight((after, part) => part(program, after), next);
}

function repeated(parser: Parser): Part {
  let part = atom(parser);
  for (;;) {
    const character = parser.source[parser.at];
    if (character === "*") part = repeat(part, 0, Number.POSITIVE_INFINITY);
    else if (character === "+") part = repeat(part, 1, Number.POSITIVE_INFINITY);
    else if (character === "?") part = repeat(part, 0, 1);
    else if (character === "{") {
      const text = parser.source.slice(parser.at, parser.at + 12).join("");
      const match = /^\{(\d{1,4})(,(\d{0,4}))?\}/.exec(text);
      if (match === null) return part;
      const least = Number(match[1]);
      const most =
        match[2] === undefined ? least : match[3] === "" ? Number.POSITIVE_INFINITY : Number(match[3]);
      if (
        least > most ||
        least > expressionLimits.repeats ||
        (most !== Number.POSITIVE_INFINITY && most > expressionLimits.repeats)
      )
        throw new RangeError(`${match[0]} does not repeat anything 0 to ${expressionLimits.repeats} times`);
      parser.at += match[0].length - 1;
      part = repeat(part, least, most);
    } else return part;
    parser.at++;
    // Lazy repetition finds the same texts.
    if (parser.source[parser.at] === "?") parser.at++;
  }
}

function repeat(part: Part, least: number, most: number): Part {
  return (program, next) => {
    let after = next;
    if (most === Number.POSITIVE_INFINITY) {
      const to: number[] = [];
      const loop = append(program, { kind: "fork", to });
      to.push(part(program, loop), next);
      after = loop;
    } else
      for (let count = least; count < most; count++) {
        const inner = part(program, after);
        after = append(program, { kind: "fork", to: [inner, next] });
      }
    for (let count = 0; count < least; count++) after = part(program, after);
    return after;
  };
}

const whole =
  (test: Test): Part =>
  (program, next) => {
    // The instruction after a consuming one is that of the part behind it: a jump where that is not the next.
    const to = append(program, { kind: "fork", to: [next] });
    append(program, { kind: "one", test });
    return to + 1;
  };

function atom(parser: Parser): Part {
  const character = parser.source[parser.at++] as string;
  if (character === "(") return group(parser);
  if (character === "[") return whole(folded(parser, characterClass(parser)));
  if (character === ".") return whole((code) => code !== 10);
  if (character === "^") return (program, next) => assertion(program, "begin", next);
  if (character === "$") return (program, next) => assertion(program, "end", next);
  if ("*+?".includes(character)) throw new RangeError(`nothing stands before "${character}"`);
  if (character === "\\") {
    const letter = parser.source[parser.at++];
    if (letter === "A") return (program, next) => assertion(program, "begin", next);
    if (letter === "z") return (program, next) => assertion(program, "end", next);
    return whole(folded(parser, escaped(letter)));
  }
  return whole(folded(parser, literal(character)));
}

function assertion(program: Instruction[], kind: "begin" | "end", next: number): number {
  const to = append(program, { kind: "fork", to: [next] });
  append(program, { kind });
  return to + 1;
}

function group(parser: Parser): Part {
  if (++parser.depth > expressionLimits.depth)
    throw new RangeError(`groups lie deeper than ${expressionLimits.depth} in one another`);
  if (parser.source[parser.at] === "?") {
    if (parser.source[parser.at + 1] !== ":")
      throw new RangeError('of "(?…" only "(?:" and a leading "(?i)" are known');
    parser.at += 2;
  }
  const part = alternatives(parser);
  if (parser.source[parser.at++] !== ")") throw new RangeError('a "(" is not closed');
  parser.depth--;
  return part;
}

const isDigit: Test = (code) => code >= 48 && code <= 57;
const isWord: Test = (code) =>
  isDigit(code) || code === 95 || (code >= 65 && code <= 90) || (code >= 97 && code <= 122);
const isSpace: Test = (code) => code === 32 || (code >= 9 && code <= 13 && code !== 11);
const sets: Readonly<Record<string, Test>> = {
  d: isDigit,
  D: (code) => !isDigit(code),
  w: isWord,
  W: (code) => !isWord(code),
  s: isSpace,
  S: (code) => !isSpace(code),
  n: (code) => code === 10,
  r: (code) => code === 13,
  t: (code) => code === 9,
};

function escaped(character: string | undefined): Test {
  if (character === undefined) throw new RangeError("the expression ends with a backslash");
  const set = sets[character];
  if (set !== undefined) return set;
  if (isWord(character.codePointAt(0) as number)) throw new RangeError(`"\\${character}" is not known`);
  return literal(character);
}

function literal(character: string): Test {
  const wanted = character.codePointAt(0);
  return (code) => code === wanted;
}

function characterClass(parser: Parser): Test {
  const { source } = parser;
  const negated = source[parser.at] === "^";
  if (negated) parser.at++;
  const tests: Test[] = [];
  for (let first = true; first || source[parser.at] !== "]"; first = false) {
    const character = source[parser.at++];
    if (character === undefined) throw new RangeError('a "[" is not closed');
    if (character === "[" && source[parser.at] === ":")
      throw new RangeError("classes like [:alpha:] are not known");
    const test = character === "\\" ? escaped(source[parser.at++]) : literal(character);
    const last = source[parser.at + 1];
    if (character !== "\\" && source[parser.at] === "-" && last !== undefined && last !== "]") {
      const [from, to] = [character, last].map((one) => one.codePointAt(0) as number) as [number, number];
      if (last === "\\" || from > to) throw new RangeError(`"${character}-${last}" is no range`);
      tests.push((code) => code >= from && code <= to);
      parser.at += 2;
    } else tests.push(test);
  }
  parser.at++;
  return (code) => tests.some((test) => test(code)) !== negated;
}

/** ASCII letters of both cases. */
function folded({ ignoreCase }: Parser, test: Test): Test {
  if (!ignoreCase) return test;
  return (code) => {
    const other = (code >= 65 && code <= 90) || (code >= 97 && code <= 122) ? code ^ 32 : code;
    return test(code) || test(other);
  };
}

/** All states at once, a character at a time; a new attempt begins at each. */
function search(program: readonly Instruction[], start: number, text: string): boolean {
  const codes = Array.from(text, (character) => character.codePointAt(0) as number);
  let states: number[] = [];
  for (let at = 0; at <= codes.length; at++) {
    const reached = closure(program, [...states, start], at, codes.length);
    if (reached.some((state) => program[state]?.kind === "match")) return true;
    states = [];
    for (const state of reached) {
      const instruction = program[state];
      // What follows a consuming instruction lies before it.
      if (instruction?.kind === "one" && at < codes.length && instruction.test(codes[at] as number))
        states.push(state - 1);
    }
  }
  return false;
}

/** All states that are reached without a character, forks and assertions resolved. */
function closure(
  program: readonly Instruction[],
  from: readonly number[],
  at: number,
  length: number,
): number[] {
  const seen = new Set<number>();
  const stack = [...from];
  const reached: number[] = [];
  while (stack.length > 0) {
    const state = stack.pop() as number;
    if (seen.has(state)) continue;
    seen.add(state);
    const instruction = program[state] as Instruction;
    if (instruction.kind === "fork") stack.push(...instruction.to);
    else if (instruction.kind === "begin") {
      if (at === 0) stack.push(state - 1);
    } else if (instruction.kind === "end") {
      if (at === length) stack.push(state - 1);
    } else reached.push(state);
  }
  return reached;
}
