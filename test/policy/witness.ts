/** What reaches a host behind the programs of its devices: netfilter counts there. */
import type { Namespace } from "../lab/index.ts";

export interface Witness {
  /** Packets so far. */
  seen(): Promise<number>;
}

/** @param match of nft(8): `tcp dport 80`. One of that name a namespace. */
export async function witness(place: Namespace, match: string, name = "witness"): Promise<Witness> {
  const table = `table inet ${name}`;
  const chain = `chain input { type filter hook input priority 0; ${match} counter name seen; }`;
  await place.exec(["nft", "-f", "-"], `${table}\ndelete ${table}\n${table} { counter seen {}; ${chain}; }`);
  return {
    async seen() {
      const text = await place.exec(["nft", "-j", "list", "counters", "table", "inet", name]);
      const { nftables } = JSON.parse(text) as { nftables: { counter?: { packets: number } }[] };
      return nftables.find(({ counter }) => counter !== undefined)?.counter?.packets ?? 0;
    },
  };
}
