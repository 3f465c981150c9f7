import { expect, test } from "vitest";
import type { Flow } from "../../flow.ts";
import { testFlow } from "../../testing/flows.ts";
import { type AuditedConnections, enter } from "./audit.ts";

test("audited flows of one process, peer and port are one line, by rule", () => {
  const rule = { policy: "default/web", path: "spec.ingress" };
  const audited = (start: string, also: Partial<Flow> = {}): Flow => ({
    ...testFlow({ direction: "ingress", verdict: "audit", rule, start, ...also }),
  });
  const connections = new Map<string, AuditedConnections>();
  const one = audited("2026-01-01T00:00:02.000Z");
  enter(connections, one);
  enter(connections, audited("2026-01-01T00:00:01.000Z"));
  enter(connections, audited("2026-01-01T00:00:03.000Z", { rule: { ...rule, path: "spec.egress" } }));
  enter(connections, audited("2026-01-01T00:00:04.000Z", { verdict: "dropped" }));
  enter(connections, audited("2026-01-01T00:00:05.000Z", { verdict: "forwarded", rule: null }));
  const { source, destination } = one;
  expect([...connections.values()]).toMatchObject([
    {
      ...rule,
      peer: source.name ?? source.ip,
      port: destination.port,
      flows: 2,
      latest: "2026-01-01T00:00:02.000Z",
    },
    { path: "spec.egress", flows: 1 },
  ]);
});
