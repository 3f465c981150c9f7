import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, createLog } from "@x0tta6bl4/core";
// biome-ignore lint/correctness/noUndeclaredDependencies: used by tests only, and vitest is the workspace's
import { onTestFinished } from "vitest";
import { parseAddress } from "../../address.ts";
import { decode } from "../compile/encode.ts";
import { compilerHere } from "../compiler/compiler.ts";
import type { PolicyCompiler } from "../compiler/contract.ts";
import { policyConfigSchema } from "../config.ts";
import { type NameStore, openNameStore } from "../names/name-store.ts";
import { type ApplyRequest, createRepository, type Repository } from "../repository.ts";
import { openPolicyStore, type PolicyStore } from "../store/store.ts";
import { ruleClass } from "../tables.ts";
import { worldOf } from "../world.ts";
import { type MemoryEnforcement, memoryEnforcement } from "./memory-enforcement.ts";

export const config = policyConfigSchema.parse({
  node_name: "edge-1",
  node_labels: { role: "db" },
  members: [{ name: "edge-2", labels: { role: "web" }, addresses: ["10.0.0.2"] }],
});

/** Allows one port and denies the rest. */
export const policyText = (name: string, port: number): string => `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: ${name}}
spec:
  endpointSelector: {}
  ingress:
  - toPorts: [{ports: [{port: "${port}"}]}]
`;

export const request = (text: string, also: Partial<ApplyRequest> = {}): ApplyRequest => ({
  files: [{ name: "test.yaml", text }],
  audit: false,
  management: true,
  pin: false,
  ...also,
});

export interface Fixture {
  readonly repository: Repository;
  readonly store: PolicyStore;
  readonly names: NameStore;
  readonly compiler: PolicyCompiler;
  readonly kernel: MemoryEnforcement;
  readonly logged: string[];
  /** Ports that are allowed by what judges now, of all policies; undefined where nothing judges. */
  ports(): number[] | undefined;
  pass(ms: number): void;
  readonly host: { addresses: string[] };
  /** As after a power cut: what was in memory is gone, also the kernel's. */
  reboot(): Promise<Fixture>;
}

/**
 * A repository with a store of its own, ended by the test's end.
 *
 * @param earlier what happened to the kernel before this agent.
 */
export async function openRepository(
  folder?: string,
  earlier?: (kernel: MemoryEnforcement) => Promise<void>,
): Promise<Fixture> {
  const place = folder ?? mkdtempSync(join(tmpdir(), "x0-policy-"));
  if (folder === undefined) onTestFinished(() => rmSync(place, { recursive: true }));
  let nowMs = 1_800_000_000_000;
  const clock: Clock = { nowMs: () => nowMs, monotonicNs: () => BigInt(nowMs) * 1_000_000n };
  const logged: string[] = [];
  const store = openPolicyStore(join(place, "policy.db"));
  onTestFinished(() => store.close());
  const names = openNameStore(join(place, "names.db"));
  onTestFinished(() => names.close());
  const kernel = memoryEnforcement(clock);
  const compiler = compilerHere(config);
  const host = { addresses: ["10.0.0.1"] };
  const fixture: Fixture = {
    store,
    names,
    compiler,
    kernel,
    logged,
    host,
    pass: (ms) => {
      nowMs += ms;
    },
    ports() {
      const tables = kernel.inForce();
      if (tables === undefined) return undefined;
      const { rules } = decode(tables);
      const allowed = rules.filter((rule) => rule.class === ruleClass.allow && rule.protocol === 6);
      return allowed.map(({ port }) => port).sort((a, b) => a - b);
    },
    reboot: () => openRepository(place),
    repository: createRepository({
      config,
      store,
      names,
      compiler,
      enforcement: kernel,
      world: () =>
        worldOf(config, {
          addresses: host.addresses.map((text) => parseAddress(text) as Uint8Array),
          workloads: [],
          names: () => [],
        }),
      clock,
      log: createLog({ level: "debug", format: "text", write: (line) => logged.push(line) }),
    }),
  };
  await earlier?.(kernel);
  await fixture.repository.start();
  return fixture;
}
