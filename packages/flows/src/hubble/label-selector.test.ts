import { expect, test } from "vitest";
import { parseSelector } from "./label-selector.ts";

const labels = ["reserved:host", "process=curl", "unit=nginx.service", "k8s:app=web"];

test.each<[string, boolean]>([
  ["process=curl", true],
  ["process==curl", true],
  ["process = curl", true],
  ["process=wget", false],
  ["process!=wget", true],
  ["process!=curl", false],
  ["process", true],
  ["!process", false],
  ["!container", true],
  ["process in (wget, curl)", true],
  ["process in(wget)", false],
  ["process notin (wget)", true],
  ["container notin (a)", true],
  ["unit=nginx.service,process in (curl,wget),!container", true],
  ["unit=nginx.service,container", false],
  ["reserved:host", true],
  ["reserved:world", false],
  ["host", true],
  ["k8s:app=web", true],
  ["any:app=web", true],
  ["x0:app=web", false],
  ["", true],
])("%j: %s", (text, expected) => {
  expect(parseSelector(text)(labels)).toBe(expected);
});

test.each(["a in (", "a in", "=b", "a b", "a=b=c", "a,,b", "(a)", "x".repeat(4097)])(
  "%j is refused",
  (text) => {
    expect(() => parseSelector(text)).toThrow(RangeError);
  },
);
