/**
 * Reads what a step left and prints `PASSED FAILED SKIPPED`. A skip that `.ci/expected-skips` does not name counts as
 * failed: a test that silently stops running is a broken test.
 *
 * `notes` prints instead what a reader needs of a run: what failed and why, what passed at a second try only, what was
 * unexpectedly skipped.
 *
 *     count.mjs tests REPORT | notes REPORT | peers OUTPUT
 */
import { existsSync, readFileSync } from "node:fs";
import { relative } from "node:path";

const [kind, file] = process.argv.slice(2);

const expected = new Set(
  readFileSync(new URL("expected-skips", import.meta.url), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(" | ")[0]),
);

/** @returns {{name: string, outcome: "passed" | "failed" | "skipped", errors?: string[]}[]} */
function testsOf(report) {
  // The runner was ended before it could report.
  if (!existsSync(report)) return [{ name: "the tests", outcome: "failed" }];
  return JSON.parse(readFileSync(report, "utf8")).testResults.flatMap((suite) => {
    const path = relative(process.cwd(), suite.name);
    const tests = suite.assertionResults.map(({ fullName, status, failureMessages }) => ({
      name: `${path}: ${fullName}`,
      outcome: status === "passed" || status === "failed" ? status : "skipped",
      errors: failureMessages,
    }));
    // A file that cannot be loaded has no tests to fail.
    if (suite.status === "failed" && tests.every(({ outcome }) => outcome !== "failed"))
      tests.push({ name: path, outcome: "failed", errors: [suite.message] });
    return tests;
  });
}

function peersOf(output) {
  const line = /^(\S+)\s+(passed|failed|skipped)(?: \(.*\))?$/;
  return readFileSync(output, "utf8")
    .split("\n")
    .flatMap((text) => {
      const [, name, outcome] = line.exec(text) ?? [];
      return name === undefined || /^\d+$/.test(name) ? [] : [{ name: `conformance: ${name}`, outcome }];
    });
}

const results = kind === "peers" ? peersOf(file) : testsOf(file);
const unexpected = results.filter(({ name, outcome }) => outcome === "skipped" && !expected.has(name));
if (kind === "notes") {
  const start = (error, lines) =>
    error
      .split("\n")
      .filter((line) => !line.includes("node_modules"))
      .slice(0, lines)
      .join("\n  ");
  for (const { name, outcome, errors = [] } of results) {
    if (outcome === "failed")
      console.log(`failed: ${name}\n  ${errors.map((error) => start(error, 20)).join("\n  ")}`);
    // The runner keeps what failed before it tried again.
    if (outcome === "passed" && errors.length > 0)
      console.log(`passed at a second try only: ${name}\n  ${start(errors[0], 4)}`);
  }
  for (const { name } of unexpected) console.log(`unexpectedly skipped: ${name}`);
} else {
  const count = (wanted) => results.filter(({ outcome }) => outcome === wanted).length;
  console.log(count("passed"), count("failed") + unexpected.length, count("skipped") - unexpected.length);
}
