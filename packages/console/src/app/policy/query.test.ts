import { expect, test } from "vitest";
import { closed, formatPolicyView, parsePolicyView, plainView } from "./query.ts";

test("a plain view has a plain address", () => {
  expect(parsePolicyView("")).toEqual({ view: plainView, problems: [] });
  expect(formatPolicyView(plainView)).toBe("");
});

test.each([
  "?direction=egress&endpoint=nginx.service&decision=deny&sort=policy",
  "?document=default/web&kind=CiliumNetworkPolicy",
  "?peer=range:10.0.0.0/8&port=tcp/80-90&live=off",
  "?peer=name:**.a%26b%3Dc&port=*",
  "?panel=rehearse",
])("%s is read and written back", (search) => {
  const { view, problems } = parsePolicyView(search);
  expect(problems).toEqual([]);
  expect(formatPolicyView(view).replace("port=%2A", "port=*").replaceAll("%2A", "*")).toBe(search);
});

test("what has no meaning is told and left out", () => {
  const { view, problems } = parsePolicyView(
    "?direction=up&decision=maybe&sort=colour&__proto__=1&panel=x&a=b",
  );
  expect(view).toEqual(plainView);
  expect(problems.map((problem) => problem.split(" ")[0])).toEqual([
    "direction:",
    "decision:",
    "sort:",
    '"__proto__"',
    "panel:",
    '"a"',
  ]);
});

test("closing takes away what stands at the right, and nothing else", () => {
  const { view } = parsePolicyView("?decision=deny&document=a&kind=b&peer=c&port=d&panel=rehearse&live=off");
  expect(formatPolicyView(closed(view))).toBe("?decision=deny&live=off");
});
