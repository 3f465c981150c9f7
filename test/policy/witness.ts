/** What reaches a host behind the programs of its devices, or leaves it before them: netfilter counts there. */
import type { Namespace } from "../lab/index.ts";

export interface Witness {
  /** Packets so far. */
  seen(): Promise<number>;
}

/** @param match of nft(8): `tcp dport 80`. One a namespace and hook. */
export async function witness(
  place: Namespace,
  match: string,
  hook: "input" | "output" = "input",
): Promise<Witness> {
  const name = `witness_${hook}`;
  const table = `table inet ${name}`;
  const chain = `chain c { type filter hook ${hook} priority 0; ${match} counter name seen; }`;
  await place.exec(["nft", "-f", "-"], `${table}\ndelete ${table}\n${table} { counter seen {}; ${chain}; }`);
  return {
    async seen() {
      const text = await place.exec(["nft", "-j", "list", "counters", "table", "inet", name]);
      const { nftables } = JSON.parse(text) as { nftables: { counter?: { packets: number } }[] };
      return nftables.find(({ counter }) => counter !== undefined)?.counter?.packets ?? 0;
    },
  };
}
