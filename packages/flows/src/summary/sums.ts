/** Sums over tallies, in bounded memory: see `heavy-hitters.ts` for what that costs. */
import { parseAddress } from "../address.ts";
import { type AddressSet, createAddressSet } from "./address-set.ts";
import { type HeavyHitters, heavyHitters } from "./heavy-hitters.ts";
import {
  addTraffic,
  type Destination,
  earlierFirst,
  type Named,
  type Owner,
  oneName,
  type Service,
  type Tallies,
  type Tally,
  type Traffic,
} from "./tallies.ts";

/** Keys of one list: about 2 MB. */
const CAPACITY = 4096;

export interface Sums {
  readonly total: Traffic;
  readonly talkers: HeavyHitters<Traffic, Named>;
  readonly services: HeavyHitters<Traffic, Service>;
  readonly processes: HeavyHitters<Traffic, Owner>;
  readonly fresh: HeavyHitters<Traffic, Destination>;
  /** Destinations of the time before. */
  readonly known: AddressSet;
  /** Those of the time before must be known by now. */
  add(tallies: Tallies): void;
  addKnown(ips: Iterable<string>): void;
}

export function createSums(): Sums {
  const total: Traffic = { flows: 0, bytes: 0, packets: 0 };
  const talkers = heavyHitters<Traffic, Named>(CAPACITY, oneName);
  const services = heavyHitters<Traffic, Service>(CAPACITY, oneName);
  const processes = heavyHitters<Traffic, Owner>(CAPACITY, (before) => before);
  const fresh = heavyHitters<Traffic, Destination>(CAPACITY, earlierFirst);
  const known = createAddressSet();

  return {
    total,
    talkers,
    services,
    processes,
    fresh,
    known,
    add(tallies) {
      addTraffic(total, tallies.total);
      addByBytes(talkers, tallies.talkers);
      addByBytes(services, tallies.services);
      addByBytes(processes, tallies.processes);
      for (const [ip, { traffic, detail }] of tallies.destinations)
        if (!known.has(bytesOf(ip))) fresh.add(ip, traffic.flows, traffic, detail);
    },
    addKnown(ips) {
      for (const ip of ips) known.add(bytesOf(ip));
    },
  };
}

function addByBytes<Detail>(
  into: HeavyHitters<Traffic, Detail>,
  tallies: ReadonlyMap<string, Tally<Detail>>,
): void {
  for (const [key, { traffic, detail }] of tallies) into.add(key, traffic.bytes, traffic, detail);
}

function bytesOf(ip: string): Uint8Array {
  return parseAddress(ip) ?? new Uint8Array(16);
}
