import { expect, test } from "vitest";
import { namedPorts } from "./named-ports.ts";

const services = `
# services(5)
http		80/tcp		www www-http	# WorldWideWeb HTTP
Domain 53/udp
domain 53/tcp
http 8000/tcp
bad 99999/tcp
bad2 x/tcp
zero 0/tcp
lone
`;

test("the operator's names come before those of /etc/services, whatever the case", () => {
  const names = namedPorts({ HTTP: 8080, dns: "5353/udp" }, services);
  expect([names("http", "tcp"), names("http", "udp"), names("www", "tcp"), names("www", "udp")]).toEqual([
    8080,
    8080,
    80,
    undefined,
  ]);
  expect([names("dns", "udp"), names("dns", "tcp"), names("domain", "udp"), names("domain", "tcp")]).toEqual([
    5353,
    undefined,
    53,
    53,
  ]);
});

test("what is damaged in /etc/services has no name; of two the first counts", () => {
  const names = namedPorts({}, services);
  expect(
    ["bad", "bad2", "zero", "lone", "#", "__proto__", "constructor"].map((name) => names(name, "tcp")),
  ).toEqual(new Array(7).fill(undefined));
  expect(names("http", "tcp")).toBe(80);
});
