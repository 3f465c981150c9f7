import { expect, test } from "vitest";
import { busiestTalkers } from "./talkers.ts";
import { testFlow, testProcess } from "./testing/flows.ts";

test("a process's name is shown as text", () => {
  const [line] = busiestTalkers([testFlow({ process: testProcess({ comm: "\u001b[2Jevil\u009b" }) })]);
  expect(line).toContain("�[2Jevil�");
});
