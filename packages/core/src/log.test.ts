import { expect, test } from "vitest";
import { createLog, type LogLevel } from "./log.ts";

function logged(
  format: "text" | "json",
  level: LogLevel = "debug",
): { lines: string[]; log: ReturnType<typeof createLog> } {
  const lines: string[] = [];
  const log = createLog({
    level,
    format,
    write: (line) => lines.push(line),
    nowMs: () => Date.UTC(2026, 0, 31),
  });
  return { lines, log };
}

test("text is for people: time, level, part, sentence, fields", () => {
  const { lines, log } = logged("text");
  log.info("the node is ready");
  log
    .for("flows")
    .warn("an interface was left out", { name: "eth 0\n", index: 3, up: false, why: undefined });
  expect(lines).toEqual([
    "2026-01-31T00:00:00.000Z info  the node is ready\n",
    '2026-01-31T00:00:00.000Z warn  flows: an interface was left out name="eth 0\\n" index=3 up=false\n',
  ]);
});

test("json is for collectors: one object a line", () => {
  const { lines, log } = logged("json");
  log.for("flows").error("it failed", { code: "X0_A", count: 2, none: undefined });
  expect(lines).toEqual([
    '{"time":"2026-01-31T00:00:00.000Z","level":"error","part":"flows","message":"it failed","code":"X0_A","count":2}\n',
  ]);
});

test("a field cannot pose as the line's own", () => {
  const { lines, log } = logged("json");
  log.info("true", { message: "false", level: "error", part: "other", time: 0 });
  expect(JSON.parse(lines[0] as string)).toEqual({
    time: "2026-01-31T00:00:00.000Z",
    level: "info",
    message: "true",
  });
});

test.each([
  ["debug", ["debug", "info", "warn", "error"]],
  ["info", ["info", "warn", "error"]],
  ["warn", ["warn", "error"]],
  ["error", ["error"]],
] as const)("level %s lets through %j", (level, expected) => {
  const { lines, log } = logged("json", level);
  const part = log.for("p");
  for (const at of ["debug", "info", "warn", "error"] as const) part[at]("said");
  expect(lines.map((line) => JSON.parse(line).level)).toEqual(expected);
});

test("without a clock it takes the system's", () => {
  const lines: string[] = [];
  const before = Date.now();
  createLog({ level: "info", format: "json", write: (line) => lines.push(line) }).info("now");
  expect(Date.parse(JSON.parse(lines[0] as string).time)).toBeGreaterThanOrEqual(before);
});
