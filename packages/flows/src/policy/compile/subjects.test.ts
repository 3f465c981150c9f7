import { describe, expect, test } from "vitest";
import type { Policy, PolicyDirection, PolicySpec } from "../model.ts";
import { mode, policyNumber } from "../tables.ts";
import { worldOf } from "../testing/large.ts";
import { findSubjects } from "./subjects.ts";

describe("which endpoints have which policy", () => {
  test("a node selector selects no workload", () => {
    const { endpoints } = findSubjects(
      { policies: [policy("a", [spec({ ingress: 7 }, "node")])] },
      worldOf(1),
    );
    expect(endpoints).toEqual([{ policy: 0, defaultDenyId: 7, rules: 0 }]);
  });

  test("default deny is that of the lowest spec that turned it on, in its direction", () => {
    const specs = [spec({ ingress: 9 }), spec({ ingress: 4 }), spec({ egress: 2 })];
    const { endpoints } = findSubjects({ policies: [policy("a", specs)] }, worldOf(0));
    expect(endpoints).toEqual([
      { policy: policyNumber(0, mode.enforced, false), defaultDenyId: 4, rules: 0 },
      { policy: policyNumber(0, mode.enforced, true), defaultDenyId: 2, rules: 1 },
    ]);
  });

  test("a section without default deny selects all the same", () => {
    const { endpoints } = findSubjects({ policies: [policy("a", [spec({ ingress: -7 })])] }, worldOf(0));
    expect(endpoints).toEqual([{ policy: 0, defaultDenyId: 0, rules: 0 }]);
  });

  test("both modes stand only where a policy in audit selects", () => {
    const policies = [
      policy("a", [spec({ ingress: 3, egress: 4 })]),
      policy("b", [spec({ egress: 2 }, "node")], true),
    ];
    const { endpoints } = findSubjects({ policies }, worldOf(1));
    expect(endpoints.map((entry) => [entry.policy, entry.defaultDenyId, entry.rules])).toEqual([
      [policyNumber(0, mode.enforced, false), 3, policyNumber(0, mode.enforced, false)],
      [policyNumber(0, mode.enforced, true), 4, policyNumber(0, mode.enforced, true)],
      [policyNumber(0, mode.all, true), 2, policyNumber(0, mode.all, true)],
      // The workload's are the node's own rules.
      [policyNumber(1, mode.enforced, false), 3, policyNumber(0, mode.enforced, false)],
      [policyNumber(1, mode.enforced, true), 4, policyNumber(0, mode.enforced, true)],
    ]);
  });
});

function policy(name: string, specs: readonly PolicySpec[], audit = false): Policy {
  return { kind: "CiliumClusterwideNetworkPolicy", name, labels: {}, audit, specs };
}

/** @param ids of the default denies; negative where it is not turned on. */
function spec(
  ids: { readonly ingress?: number; readonly egress?: number },
  kind: PolicySpec["subject"]["kind"] = "endpoint",
): PolicySpec {
  const section = (id: number | undefined): PolicyDirection | undefined =>
    id === undefined
      ? undefined
      : { defaultDenyId: Math.abs(id), path: "spec", defaultDeny: id > 0, rules: [] };
  return {
    path: "spec",
    subject: { kind, labels: [] },
    ingress: section(ids.ingress),
    egress: section(ids.egress),
    description: undefined,
    log: undefined,
  };
}
