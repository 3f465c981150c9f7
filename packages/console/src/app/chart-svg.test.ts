import { expect, test } from "vitest";
import { chartSvg } from "./chart-svg.ts";

const colours = {
  ground: "#101413",
  ink: "#e9eeec",
  area: "#929c9926",
  label: "#929c99",
  line: "#272e2c",
  hatch: "#434d4a",
};
const data = {
  name: "bytes_per_second",
  seconds: [0, 1, 2, 8, 9],
  values: [1, 2, null, 4, 3],
  gaps: [[2, 8]] as const,
  from: 0,
  to: 10,
};

test("the line breaks at a gap, which is hatched", () => {
  const svg = chartSvg(data, { title: "Bytes", scope: "whole host", colours, tick: String });
  expect(svg.match(/stroke-width="1.25"/g)).toHaveLength(2);
  expect(svg.match(/fill="url\(#gap\)"/g)).toHaveLength(1);
  // 800 pixels less the margins are ten seconds: the gap begins at the second of them.
  expect(svg).toContain('<rect x="202.4" y="32" width="439.2"');
});

test("text is text", () => {
  const svg = chartSvg(data, { title: '<script>"&', scope: "", colours, tick: String });
  expect(svg).not.toContain("<script>");
  expect(svg).toContain("&lt;script&gt;&quot;&amp;");
});

test("nothing known makes a picture without a line", () => {
  const svg = chartSvg({ ...data, seconds: [], values: [] }, { title: "", scope: "", colours, tick: String });
  expect(svg).not.toContain('stroke-width="1.25"');
  expect(svg).not.toContain("NaN");
});
