/** The shipped programs against the oracle: random policies, random packets, equal verdict and rule. */
import { seededRandom } from "@x0tta6bl4/core";
import { beforeEach, expect, test } from "vitest";
import { requireKernel } from "../../../../../test/lab/index.ts";
import { formatAddress, isMappedIPv4 } from "../../address.ts";
import { admittedLayout } from "../../generated/layout.ts";
import { mapAccess } from "../../kernel/bpf.ts";
import { compile } from "../compile/compile.ts";
import { nameMatches } from "../language/dns-names.ts";
import { evaluateManaged } from "../managed.ts";
import { type Attempt, NODE_ENDPOINT, policyProtocols, type Verdict } from "../model.ts";
import type { Tables } from "../tables.ts";
import { attemptFrame, sharedTuple } from "../testing/attempt-frame.ts";
import { type JudgingKernel, judgingHost } from "../testing/judging-host.ts";
import { type RandomCase, randomAttempts, randomCase } from "../testing/random-cases.ts";

const POLICIES = 400;
const ATTEMPTS = 1200;
const PAIRS = 100_000;
/** Their flows would fill the table, and be found again under other policies. */
const POLICIES_A_LOAD = 50;
const FOREVER = 0xffff_ffff;

beforeEach((context) => requireKernel(context, "bpf", "btf", "netns"));

test("equal verdict and rule", { timeout: 240_000 }, async () => {
  await using host = await judgingHost();
  const decided = { allow: 0, audit: 0, deny: 0 };
  let pairs = 0;
  for (let first = 1; first <= POLICIES; first += POLICIES_A_LOAD) {
    host.run((kernel) => {
      using asked = openQuestions(kernel);
      for (let seed = first; seed < first + POLICIES_A_LOAD; seed++) {
        const random = seededRandom(seed);
        const one = randomCase(random);
        asked.apply(one);
        for (const attempt of randomAttempts(random, one, ATTEMPTS)) {
          const found = asked.ask(one, attempt);
          if (found === undefined) continue;
          const wanted = evaluateManaged(one.set, one.world, one.management, attempt);
          if (found.decision !== wanted.decision || found.id !== wanted.id)
            expect(found, explain(seed, attempt)).toEqual(wanted);
          decided[wanted.decision]++;
          pairs++;
        }
      }
    });
  }
  expect(pairs).toBeGreaterThan(PAIRS);
  for (const count of Object.values(decided)) expect(count).toBeGreaterThan(pairs / 50);
});

function openQuestions(kernel: JudgingKernel) {
  const { libc } = kernel;
  const access = mapAccess(libc);
  const key = libc.allocate(16);
  const value = libc.allocate(admittedLayout.size);
  const seen = new Set<string>();
  let number = 1024;

  const admit = ({ world }: RandomCase, { names }: Tables, address: Uint8Array): void => {
    key.bytes.set(address);
    value.bytes.fill(0);
    // Also of nodes: there it counts for nothing.
    const known = world.names(address);
    const peers = names.filter((entry) => {
      const selector =
        entry.kind === "name"
          ? { kind: "name" as const, name: entry.text }
          : { kind: "pattern" as const, pattern: entry.text };
      return known.some((name) => nameMatches(selector, name));
    });
    if (peers.length === 0) return void access.delete(kernel.maps.admitted, key);
    for (const [at, { peer }] of peers.entries()) {
      value.view.setUint32(8 * at, FOREVER, true);
      value.view.setUint32(8 * at + 4, peer, true);
    }
    if (access.update(kernel.maps.admitted, key, value) < 0) throw new Error("no name was admitted");
  };
  let tables: Tables | undefined;
  return {
    apply(one: RandomCase) {
      tables = compile(one.set, one.world, one.management);
      kernel.swap(tables);
    },
    /** Undefined for what cannot be asked by a packet of the node, or is a flow that was asked about before. */
    ask(one: RandomCase, attempt: Attempt): Verdict | undefined {
      const own = one.world.node.addresses.find(
        (address) => isMappedIPv4(address) === isMappedIPv4(attempt.peer.address),
      );
      const { peer, protocol, port = 0 } = attempt;
      if (attempt.endpoint !== NODE_ENDPOINT || peer.workload !== undefined || own === undefined)
        return undefined;
      if (protocol === policyProtocols.icmpv6 && port >= 130 && port <= 143) return undefined;
      if (protocol === policyProtocols.udp && [67, 68, 546, 547].includes(port)) return undefined;
      // A host that talks to itself does so over loopback.
      if (formatAddress(own) === formatAddress(peer.address)) return undefined;
      const isIcmp = protocol === policyProtocols.icmp || protocol === policyProtocols.icmpv6;
      if (isIcmp && port > 255) return undefined;
      const tuple = sharedTuple(attempt);
      if (tuple !== undefined) {
        const both = `${formatAddress(own)} ${tuple}`;
        if (seen.has(both)) return undefined;
        seen.add(both);
      }
      admit(one, tables as Tables, peer.address);
      number = number === 65_535 ? 1024 : number + 1;
      const frame = attemptFrame(attempt, own, number);
      const { isDropped, told } = kernel.judge(attempt.direction, frame);
      const begun = told.find(({ event }) => event === "new");
      if (begun === undefined) return undefined;
      const { decision, id } = begun;
      if (decision === undefined) throw new Error("the packet was not judged");
      if (isDropped !== (decision === "deny")) throw new Error(`${decision}, but dropped: ${isDropped}`);
      return { decision, id };
    },
    [Symbol.dispose]() {
      key.free();
      value.free();
    },
  };
}

function explain(seed: number, attempt: Attempt): string {
  return `seed ${seed}: ${JSON.stringify({ ...attempt, peer: formatAddress(attempt.peer.address) })}`;
}
