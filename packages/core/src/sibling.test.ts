import { expect, test } from "vitest";
import { siblingModule } from "./sibling.ts";

test("a sibling has the caller's extension", () => {
  expect(siblingModule("worker", "file:///a/src/x.ts").href).toBe("file:///a/src/worker.ts");
  expect(siblingModule("worker", "file:///a/dist/x.js").href).toBe("file:///a/dist/worker.js");
});
