import { expect, test } from "vitest";
import { applications } from "./application.ts";
import { application } from "./generated/layout.ts";

test("the kernel side numbers applications in this order", () => {
  expect(Object.keys(application)).toEqual(["none", ...applications]);
  expect(Object.values(application)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});
