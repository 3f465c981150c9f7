/** What this node knows of names: addresses that answers gave to selectors, as the kernel holds them. */
import { formatAddress } from "../../address.ts";
import { nameOfPattern } from "../language/dns-names.ts";
import type { World } from "../model.ts";
import type { AdmittedAddress } from "./contract.ts";
import type { NameStore } from "./name-store.ts";

export interface KnownAddress {
  /** 16 bytes. */
  readonly address: Uint8Array;
  /** Lower case, no final dot. Of what a pattern admitted only that is known: a name that it selects stands for it. */
  readonly names: readonly string[];
}

export function knownAddresses(
  admitted: readonly AdmittedAddress[],
  names: Pick<NameStore, "selectorOf">,
): KnownAddress[] {
  return admitted.flatMap(({ address, peers }) => {
    const selectors = peers.flatMap(({ peer }) => names.selectorOf(peer) ?? []);
    const found = selectors.map(({ kind, text }) => (kind === "name" ? text : nameOfPattern(text)));
    return found.length === 0 ? [] : [{ address, names: [...new Set(found)] }];
  });
}

/** As a world has them. */
export function namesIn(known: readonly KnownAddress[]): World["names"] {
  const byAddress = new Map(known.map(({ address, names }) => [formatAddress(address), names]));
  return (address) => byAddress.get(formatAddress(address)) ?? [];
}
