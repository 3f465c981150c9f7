import { expect, test } from "vitest";
import { interpret } from "./search.ts";

test.each([
  ["", {}],
  ["10.0.0.1", { ip: "10.0.0.1" }],
  ["10.0.0.0/8", { ip: "10.0.0.0/8" }],
  ["fe80::1", { ip: "fe80::1" }],
  ["443", { port: "443" }],
  [":443", { port: "443" }],
  ["10.0.0.1:443", { ip: "10.0.0.1", port: "443" }],
  ["[::1]:443", { ip: "::1", port: "443" }],
  ["UDP", { protocol: "udp" }],
  ["curl", { process: "curl" }],
  ["/usr/bin/curl", { process: "/usr/bin/curl" }],
  ["nginx.service", { unit: "nginx.service" }],
  ["example.org", { name: "example.org" }],
  ["*.example.org", { name: "*.example.org" }],
  ["python3.11", { process: "python3.11" }],
  ["dropped=true", { dropped: "true" }],
  ["process=443", { process: "443" }],
  ["since=15m", { since: "15m" }],
  ["  curl  tcp 10.0.0.1:443 ", { process: "curl", protocol: "tcp", ip: "10.0.0.1", port: "443" }],
  ["70000", { process: "70000" }],
])("%j means %j", (text, filter) => {
  expect(interpret(text)).toEqual(filter);
});
