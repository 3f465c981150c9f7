import { expect, test } from "vitest";
import { hostOf, parseTarget } from "./target.ts";

test.each([
  ["file:/var/log/x0/flows.json", { kind: "file", path: "/var/log/x0/flows.json" }],
  ["udp:192.0.2.1:4739", { kind: "udp", host: "192.0.2.1", port: 4739 }],
  ["tcp:[2001:db8::1]:4739", { kind: "tcp", host: "2001:db8::1", port: 4739 }],
  ["udp:collector.example:2055", { kind: "udp", host: "collector.example", port: 2055 }],
])("%s is understood", (text, target) => {
  expect(parseTarget(text)).toEqual(target);
});

test.each([
  ["http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/logs"],
  ["https://otlp.example/base/", "https://otlp.example/base/v1/logs"],
  ["https://otlp.example/v1/logs", "https://otlp.example/v1/logs"],
])("the logs of %s go to %s", (text, url) => {
  const target = parseTarget(text);
  expect(target).toMatchObject({ kind: "http" });
  expect(typeof target === "object" && target.kind === "http" && target.url.href).toBe(url);
});

test.each([
  "flows.json",
  "file:flows.json",
  "file:/var/log/",
  "udp:host",
  "udp:host:0",
  "tcp:host:70000",
  "tcp:2001:db8::1:4739",
  "ftp://host/",
  "http://",
  "http://user:secret@host:4318",
  "http://host:4318/?token=1",
])("%s is refused with a sentence", (text) => {
  const problem = parseTarget(text);
  expect(problem).toBeTypeOf("string");
  expect(problem).not.toContain("secret");
});

test("a host is told without brackets, and none of a file", () => {
  const host = (text: string) => hostOf(parseTarget(text) as Exclude<ReturnType<typeof parseTarget>, string>);
  expect(host("http://[::1]:4318")).toBe("::1");
  expect(host("udp:[::1]:4739")).toBe("::1");
  expect(host("file:/tmp/x")).toBeUndefined();
});
