import { expect, test } from "vitest";
import { compareReadings } from "../testing/compare-readings.ts";
import { wholePolicies } from "../testing/damaged-policies.ts";
import { testPorts } from "../testing/small-world.ts";
import { parsePolicies } from "./parse.ts";

test("the files are whole before they are damaged", () => {
  for (const content of wholePolicies)
    expect(parsePolicies([{ name: "whole.yaml", content }], testPorts).problems).toEqual([]);
});

/** Ten times as many in `npm run soak`. */
test("of 1,000 damaged files each is refused with a place, or means what a second reading says", () => {
  const { refused, compared, failures } = compareReadings(4, 1_000);
  expect(failures).toEqual([]);
  expect(refused).toBeGreaterThan(300);
  expect(compared).toBeGreaterThan(5_000);
}, 120_000);
