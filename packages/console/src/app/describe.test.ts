import { expect, test } from "vitest";
import { decidedBy, processes, sentence, title } from "./describe.ts";
import type { Flow } from "./shapes.ts";
import { flow, process } from "./testing/flow.ts";

const nginx = process({ pid: 8, comm: "nginx", executable: null });
const start = Date.UTC(2026, 0, 31, 8);
const base = flow({
  end: new Date(start + 1500).toISOString(),
  destination: { ip: "2001:db8::1", port: 443, name: null },
});

test.each([
  ["an active one", {}, "curl opened it 1 min ago; it is active and has moved 1.25 kB."],
  ["an ended one", { state: "ended" }, "curl opened it; it ended after 1.50 s and 1.25 kB."],
  [
    "an unanswered one",
    { bytes: { sent: 60, received: 0 }, packets: { sent: 1, received: 0 } },
    "curl opened it 1 min ago; it is active and has moved 60 B. No packet came back.",
  ],
  [
    "one from outside",
    { direction: "ingress", process: nginx },
    "10.0.0.2:50000 opened it to nginx 1 min ago; it is active and has moved 1.25 kB.",
  ],
  [
    "a forwarded one",
    { place: "forwarded", process: null },
    "10.0.0.2 opened it through this host 1 min ago; it is active and has moved 1.25 kB.",
  ],
  [
    "one without process",
    { process: null },
    "10.0.0.2 opened it 1 min ago; it is active and has moved 1.25 kB.",
  ],
] satisfies [string, Partial<Flow>, string][])("%s", (_, change, text) => {
  expect(sentence({ ...base, ...change }, start + 60_000)).toBe(text);
});

test("the title names where it goes", () => {
  expect(title(base)).toBe("tcp to [2001:db8::1]:443");
  const named = { ...base.destination, name: "example.com" };
  expect(title({ ...base, application: "tls", destination: named })).toBe("tls to example.com:443");
});

test("both processes are named where both ends are here", () => {
  expect(processes(base)).toBe("curl");
  expect(processes({ ...base, peerProcess: nginx })).toBe("curl → nginx");
  expect(processes({ ...base, process: null, peerProcess: nginx })).toBe("? → nginx");
  expect(processes({ ...base, process: null })).toBe("");
  expect(processes({ ...base, process: process({ comm: "a\u202eb\n" }) })).toBe("a⟨202E⟩b␊");
});

test.each([
  [{ policy: "default/web", path: "spec.ingress[0]" }, "default/web, spec.ingress[0]"],
  [{ policy: "a\u202e", path: "spec" }, "a⟨202E⟩, spec"],
  [{ policy: "", path: "management" }, "management, always open"],
  [{ policy: "", path: "session" }, "the session that applied the policies"],
])("%j decided: %s", (rule, text) => {
  expect(decidedBy(rule)).toBe(text);
});
