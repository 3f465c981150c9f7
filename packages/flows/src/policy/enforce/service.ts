import { type Feature, type ServiceKey, serviceKey } from "@x0tta6bl4/core";
import type { AdmittedAddress, AdmittedAddresses } from "../names/contract.ts";
import type { EnforcementFigures, SwapRequest } from "./contract.ts";

/** The capturing side, as the policy part reaches it. */
export interface Enforcement {
  /** Why nothing can be enforced here; undefined where it can. */
  missing(): Feature | undefined;
  /** @throws X0_FLOWS_OFF, X0_FLOWS_KERNEL_CALL; what was in force stays then */
  swap(request: SwapRequest): Promise<number>;
  confirm(): Promise<boolean>;
  revert(): Promise<boolean>;
  figures(): Promise<EnforcementFigures>;
  admit(addresses: readonly AdmittedAddress[]): Promise<void>;
  admitted(since: number): Promise<AdmittedAddresses | undefined>;
}

/** What the capturing side has to know before it begins. */
export interface EnforcementSettings {
  /** Allowed connections that the kernel remembers. */
  readonly maxConnections: number;
}

export const enforcementSettings: ServiceKey<EnforcementSettings> = serviceKey("policy.enforcement-settings");
export const enforcementService: ServiceKey<Enforcement> = serviceKey("flows.enforcement");
