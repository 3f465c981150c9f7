import { describe, expect, test } from "vitest";
import { clusterwide, testPorts } from "../testing/small-world.ts";
import { policyLimits } from "./limits.ts";
import { parsePolicies } from "./parse.ts";
import { describeProblem, type Problem } from "./problem.ts";

const problemsOf = (content: string | Uint8Array): readonly Problem[] =>
  parsePolicies([{ name: "f.yaml", content }], testPorts).problems;
const told = (content: string | Uint8Array): string[] => problemsOf(content).map(describeProblem);
const group = (name: string, extra = ""): string =>
  `apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {name: ${name}}\nspec: {externalCIDRs: []}\n${extra}`;

describe("documents", () => {
  test("are counted as they stand, empty ones too, and keep their text and comments", () => {
    const text = `# first\n${group("a")}---\n---\n# second\n${group("b")}...\n--- # third\n${group("c")}`;
    const { groups, problems } = parsePolicies([{ name: "f.yaml", content: text }], testPorts);
    expect(problems).toEqual([]);
    expect(groups.map(({ name, document, line }) => [name, document, line])).toEqual([
      ["a", 1, 2],
      ["b", 3, 9],
      ["c", 4, 15],
    ]);
    expect(groups.map(({ source }) => source)).toEqual([
      `# first\n${group("a")}`,
      `# second\n${group("b")}`,
      `# third\n${group("c")}`,
    ]);
  });

  test("may be JSON, with a byte order mark, with the line ends of Windows, of bytes", () => {
    const json = JSON.stringify({
      apiVersion: "cilium.io/v2",
      kind: "CiliumCIDRGroup",
      metadata: { name: "a" },
      spec: { externalCIDRs: [] },
    });
    for (const content of [
      json,
      `\ufeff${group("a")}`,
      group("a").replaceAll("\n", "\r\n"),
      Buffer.from(json),
    ])
      expect(told(content)).toEqual([]);
  });

  test.each(["", "\n# nothing\n", "---\n---\n", "~"])("%j holds none", (text) => {
    const { policies, groups } = parsePolicies([{ name: "f.yaml", content: text }], testPorts);
    expect([...policies, ...groups]).toEqual([]);
  });
});

describe("what is not YAML, or not the YAML of policies", () => {
  test.each<[string, string | Uint8Array, string]>([
    ["a flow that does not end", "a: [1, 2", "f.yaml:1:9: document 1: not YAML"],
    ["a tab as indentation", "a:\n\t- b", "not YAML"],
    ["NUL", "a: b\0", "f.yaml:1:5: the character U+0000"],
    ["an escape sequence", "a: \x1b[2J", "the character U+001B"],
    ["C1 control characters", "a: \x9b", "the character U+009B"],
    ["half of a surrogate pair", "a: \ud800", "the character U+D800"],
    ["a lone carriage return", "a: b\rc: d", "the character U+000D"],
    ["bytes that are not UTF-8", Uint8Array.of(0x61, 0xff), "f.yaml:1:1: not UTF-8"],
    ["a tag", "a: !!binary aGk=", "f.yaml:1:4: a tag (!!binary) is not read"],
    ["a tag of its own", "!policy\na: b", "a tag (!policy) is not read"],
    ["a directive", "%YAML 1.1\n---\na: b", "f.yaml:1:1: a directive (%YAML 1.1) is not read"],
    ["a key twice", "a: 1\nb: 2\na: 3", "f.yaml:3:1: document 1: the key a stands twice (keep one of them)"],
    ["a merge key", "a: &a {b: c}\nd:\n  <<: *a", "f.yaml:3:3: document 1: a merge key (<<) is not read"],
    ["a key that is a list", "? [a]\n: b", "a key must be text"],
    ["a key that is a number", "1: b", "the key 1 is not text to all readers of YAML (quote it)"],
    ["a key that YAML 1.1 takes for true", "on: b", "the key on is not text to all readers of YAML"],
    ["an alias without anchor", "a: *b", "the alias *b stands for nothing before it"],
    ["an anchor within itself", "a: &a [*a]", "the alias *a stands for nothing before it"],
  ])("%s", (_, text, expected) => expect(told(text)[0]).toContain(expected));

  test("terminal escapes in quoted text are shown as text", () => {
    for (const line of told('"a\\e[31m": b\n"\\u202e": c')) expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(JSON.stringify(problemsOf('kind: "\\e[2J"\napiVersion: "cilium.io/v2"'))).toContain("\\u001b[2J");
  });
});

describe("limits", () => {
  test("bytes", () => {
    expect(told(`# ${"x".repeat(policyLimits.fileBytes)}`)).toEqual([
      `f.yaml:1:1: larger than ${policyLimits.fileBytes} bytes (split the file)`,
    ]);
  });
  test("documents", () => {
    expect(told("---\n".repeat(policyLimits.documents + 1))[0]).toContain("more than 16384 documents");
  });
  test.each(["[", "- ", "{a: ", "? ", "a:\n "])("depth of %j", (open) => {
    const nested =
      open === "a:\n "
        ? Array.from({ length: 60 }, (_, at) => `${" ".repeat(at)}a:\n`).join("")
        : open.repeat(100_000);
    expect(told(nested)[0]).toContain(`nested deeper than ${policyLimits.depth} levels`);
  });
  test("aliases", () => {
    const text = `a: &a b\nc: [${"*a, ".repeat(policyLimits.aliases + 1)}]`;
    expect(told(text)[0]).toContain("more than 1000 aliases");
  });
  test("fields behind aliases: a billion laughs", () => {
    const labels = Array.from({ length: 500 }, (_, at) => `{key: k${at}, operator: Exists}`).join(", ");
    const spec = `endpointSelector: &s {matchExpressions: [${labels}]}\ningress:\n- fromEndpoints: [${"*s, ".repeat(800)}]`;
    expect(told(clusterwide(spec)).at(-1)).toContain(
      "more than 1000000 fields, those behind aliases counted each time",
    );
    const laughs = Array.from(
      { length: 20 },
      (_, at) => `k${at}: &a${at} [${at === 0 ? "x" : `*a${at - 1}, `.repeat(9)}]\n`,
    );
    expect(told(laughs.join(""))[0]).toContain("apiVersion is missing");
  });
  test("rules", () => {
    const spec = `endpointSelector: {}\ningress: [${"{},".repeat(policyLimits.rules + 1)}]`;
    expect(told(clusterwide(spec))[0]).toContain("more than 32768 rules");
    const half = `endpointSelector: {}\ningress: [${"{}, ".repeat(policyLimits.rules / 2 + 1)}]`;
    const file = `${clusterwide(half, "a")}---\n${clusterwide(half, "b")}`;
    expect(told(file)).toEqual(["f.yaml:1:1: 32770 rules, more than 32768 (split the file)"]);
  });
  test("problems", () => {
    const lines = told(Array.from({ length: 500 }, (_, at) => `k${at}: v\n`).join("") + group("a"));
    expect(lines).toHaveLength(policyLimits.problems + 1);
    expect(lines.at(-1)).toContain("more is wrong behind this");
  });
  test.each(["[,", "]", "' ", "! ", "&a ", "@", ": a", "- a\nb\n", "\u0085", "{a: b,", "? a\n"])(
    "much of %j ends",
    (piece) => expect(told(piece.repeat(2 ** 16 / piece.length)).length).toBeGreaterThan(0),
  );
});
