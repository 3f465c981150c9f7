import { expect, test } from "vitest";
import { policyConfigSchema } from "./config.ts";
import { createReader } from "./documents.ts";

const name = "same";
const policy = `apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: { name: ${name} }
spec: { nodeSelector: {}, ingress: [{}] }
`;
const group = `apiVersion: cilium.io/v2
kind: CiliumCIDRGroup
metadata: { name: ${name} }
spec: { externalCIDRs: [10.0.0.0/8] }
`;

test("a group of CIDRs that is applied in audit turns no policy of its name into audit", () => {
  const reader = createReader(policyConfigSchema.parse({}));
  const read = (text: string, audit: boolean) => reader.read([{ name, text }], { audit, appliedMs: 1 });
  const auditOf = (policyInAudit: boolean, groupInAudit: boolean) =>
    reader
      .setOf([...read(policy, policyInAudit), ...read(group, groupInAudit)])
      .policies.map(({ audit }) => audit);
  expect(auditOf(false, true)).toEqual([false]);
  expect(auditOf(true, false)).toEqual([true]);
});
