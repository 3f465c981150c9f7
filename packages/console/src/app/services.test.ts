import { expect, test } from "vitest";
import { categories, category, partyAt, processAt } from "./services.ts";
import { flow, process } from "./testing/flow.ts";

const nginx = process({ pid: 8, comm: "nginx", unit: "nginx.service" });

test("who opened is here, who was asked is not", () => {
  const out = flow();
  expect(partyAt(out, "source")).toEqual({ key: "process:curl", kind: "process", label: "curl" });
  expect(partyAt(out, "destination")).toEqual({
    key: "address:10.0.0.1",
    kind: "address",
    label: "10.0.0.1",
  });
});

test("a flow from outside has its process at the destination", () => {
  const into = flow({ direction: "ingress", process: nginx });
  expect(partyAt(into, "source").kind).toBe("address");
  expect(partyAt(into, "destination")).toEqual({ key: "unit:nginx.service", kind: "unit", label: "nginx" });
});

test("both ends here: each has its own process", () => {
  const inside = flow({ place: "loopback", peerProcess: nginx });
  expect(processAt(inside, "source")?.comm).toBe("curl");
  expect(processAt(inside, "destination")?.comm).toBe("nginx");
});

test("a forwarded flow has no end here, whatever the direction", () => {
  const through = flow({ place: "forwarded", process: null });
  expect([partyAt(through, "source").kind, partyAt(through, "destination").kind]).toEqual([
    "address",
    "address",
  ]);
});

test("a container is one before it is a unit; a scope is no service; nobody is this host", () => {
  const label = (change: Parameters<typeof process>[0]) =>
    partyAt(flow({ process: process(change) }), "source").label;
  expect(label({ container: "0123456789abcdef", unit: "docker-0123456789abcdef.scope" })).toBe(
    "0123456789ab",
  );
  expect(label({ unit: "session-1.scope" })).toBe("curl");
  expect(partyAt(flow({ process: null }), "source").label).toBe("this host");
});

test("a remote host goes by its name where one was learned", () => {
  const named = flow({ destination: { ip: "10.0.0.1", port: 443, name: "db.home" } });
  expect(partyAt(named, "destination")).toEqual({ key: "name:db.home", kind: "name", label: "db.home" });
});

test("the colour of a service follows from its key alone, and all colours are used", () => {
  expect(category("unit:nginx.service")).toBe(category("unit:nginx.service"));
  const used = new Set(Array.from({ length: 100 }, (_, index) => category(`process:${index}`)));
  expect([...used].sort()).toEqual(Array.from({ length: categories }, (_, index) => index + 1));
});
