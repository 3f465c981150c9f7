/**
 * By which devices packets come in that are not counted there: the kernel side counts them where they leave. These are
 * lowest devices without programs of ours, and those above only such. A bridge with an observed port counts as
 * observed, as a packet does not tell by which port it came.
 */
import { mapAccess } from "../kernel/bpf.ts";
import type { Interface } from "../kernel/interfaces.ts";
import type { Libc } from "../kernel/libc.ts";

/** The kernel's own bound of devices above devices (MAX_NEST_DEV). */
const MOST_STACKED = 8;

export interface UnobservedDevices {
  /** @param present all devices of the namespace. */
  settle(netns: number, present: ReadonlyMap<number, Interface>): void;
  forget(netns: number): void;
}

/** @param map `unobserved` of the programs; without it nobody asks. */
export function unobservedDevices(
  libc: Libc,
  map: number | undefined,
  isSelected: (name: string) => boolean,
): UnobservedDevices {
  const told = new Map<number, Set<number>>();
  const tell = (netns: number, index: number, isUnobserved: boolean): void => {
    const known = told.get(netns) ?? new Set();
    told.set(netns, known);
    if (map === undefined || known.has(index) === isUnobserved) return;
    const key = libc.allocate(8);
    const value = libc.allocate(4);
    key.view.setUint32(0, index, true);
    key.view.setUint32(4, netns, true);
    if (isUnobserved) {
      known.add(index);
      mapAccess(libc).update(map, key, value);
    } else {
      known.delete(index);
      mapAccess(libc).delete(map, key);
    }
    key.free();
    value.free();
  };
  const forgetAbsent = (netns: number, isPresent: (index: number) => boolean): void => {
    for (const index of [...(told.get(netns) ?? [])]) if (!isPresent(index)) tell(netns, index, false);
  };

  return {
    settle(netns, present) {
      const ports = new Map<number, Interface[]>();
      for (const device of present.values()) {
        const ofMaster = ports.get(device.master);
        if (ofMaster === undefined) ports.set(device.master, [device]);
        else ofMaster.push(device);
      }
      const isUnobserved = (device: Interface, depth: number): boolean => {
        if (!device.upper) return device.headerBytes === undefined || !isSelected(device.name);
        const lower = present.get(device.lower);
        const below = [...(lower === undefined ? [] : [lower]), ...(ports.get(device.index) ?? [])];
        return (
          depth < MOST_STACKED && below.length > 0 && below.every((each) => isUnobserved(each, depth + 1))
        );
      };
      for (const device of present.values()) tell(netns, device.index, isUnobserved(device, 0));
      forgetAbsent(netns, (index) => present.has(index));
    },
    forget(netns) {
      forgetAbsent(netns, () => false);
      told.delete(netns);
    },
  };
}
