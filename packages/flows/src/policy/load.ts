import type { PartDefinition } from "@x0tta6bl4/core";
import type { PolicyConfig } from "./config.ts";

/** Loaded only where policies are: other commands start quicker. */
export async function loadPolicyPart(): Promise<PartDefinition<PolicyConfig>> {
  return (await import("./part.ts")).policyPart;
}
