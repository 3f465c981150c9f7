/**
 * Policies in the kernel and on recorded traffic. `swap_1000_rules_ms`: tables into force; `revoke_cutoff_ms`: from the
 * store that turns to a policy that denies a stream to its last packet let through; `rules_max`: so many took effect;
 * `ns_hot`: a packet of a known flow under 1,000 rules; `udp64_kept_100_rules`: as `flows-overhead`, with a policy.
 * Of recorded traffic: how long it takes to judge a million recorded flows (`check_1m_flows_s`), and how many of them
 * the policies that are suggested from them would drop (`suggest_denials`): see `lib/policy-rehearsal.ts`.
 */
import type { Agent, Namespace } from "../test/lab/index.ts";
import { overhead } from "./flows-overhead.ts";
import type { Bench } from "./lib/bench.ts";
import { hundredRules, inKernel, revoked } from "./lib/policy-kernel.ts";
import { rehearsed } from "./lib/policy-rehearsal.ts";

export const run: Bench = async (options) => ({
  ...(await inKernel(options)),
  ...(await revoked(options)),
  ...(await rehearsed(options)),
  udp64_kept_100_rules: (await overhead(options, applyHundredRules))["udp64_kept"] ?? null,
});

async function applyHundredRules(agent: Agent, sender: Namespace): Promise<void> {
  const [address = ""] = await sender.addresses("eth0");
  const files = [{ name: "hundred.yaml", text: hundredRules(address) }];
  await agent.post("/api/v1/policy/apply", { files });
}
