/** Network interfaces through rtnetlink (RFC 3549; include/uapi/linux/if_link.h), and which of them are lowest. */
import { cString } from "./bpf.ts";
import { kernelError, type Libc } from "./libc.ts";
import { type NetlinkMessage, NLM_F_DUMP, openNetlink, readAttributes } from "./netlink.ts";

const NETLINK_ROUTE = 0;
const RTMGRP_LINK = 1;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const IFLA_IFNAME = 3;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_LINK_NETNSID = 37;
const IFLA_INFO_KIND = 1;
const ETHERNET = 1;
const LOOPBACK = 772;
/** ARPHRD types whose packets begin with the IP header: RAWIP, PPP, IPIP, IPv6 tunnel, SIT, NONE (tun, WireGuard). */
const layer3Types = [519, 512, 768, 769, 776, 65534];
/** Devices that take what comes to their ports before anything else does. */
const portKinds = ["bridge", "bond", "team"];
/** Devices above others of the same host: their packets pass the lower device too. */
const upperKinds = ["bridge", "bond", "team", "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "vrf", "hsr"];

export interface Interface {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  /** Length of the link's header in front of IP, undefined for types that we cannot read. */
  readonly headerBytes: 14 | 0 | undefined;
  /** Whether its packets are seen on a lower device of the same namespace as well. */
  readonly upper: boolean;
  /** Indices of the devices that it stands above (a VLAN's) and below (a bridge's port); 0 for none. */
  readonly lower: number;
  readonly master: number;
  /** Whether it is the master of ports: what comes to them for this host comes by it. */
  readonly hasPorts: boolean;
}

export interface InterfaceWatch {
  /** All interfaces of the namespace now. */
  list(): readonly Interface[];
  /** What changed since the last call, first what was removed; `relist` if some news was lost. */
  changes(): {
    readonly added: readonly Interface[];
    readonly removed: readonly number[];
    readonly relist: boolean;
  };
  close(): void;
}

/** Watches the calling thread's network namespace. @throws X0_FLOWS_KERNEL_CALL */
export function watchInterfaces(libc: Libc): InterfaceWatch {
  // Two sockets: notifications would mix with the answers.
  const news = openNetlink(libc, NETLINK_ROUTE, RTMGRP_LINK);
  const requests = openNetlink(libc, NETLINK_ROUTE);
  return {
    list() {
      const found: Interface[] = [];
      const result = requests.request(RTM_GETLINK, NLM_F_DUMP, new Uint8Array(16), (message) => {
        if (message.type === RTM_NEWLINK) found.push(parseLink(message));
      });
      if (result < 0) throw kernelError("listing network interfaces", result);
      return found;
    },
    changes() {
      const added = new Map<number, Interface>();
      const removed: number[] = [];
      const complete = news.poll((message) => {
        if (message.type !== RTM_NEWLINK && message.type !== RTM_DELLINK) return;
        const link = parseLink(message);
        if (message.type === RTM_NEWLINK) added.set(link.index, link);
        else {
          // Before a device goes, its change to "down" is told.
          added.delete(link.index);
          removed.push(link.index);
        }
      });
      return { added: [...added.values()], removed, relist: !complete };
    },
    close() {
      news.close();
      requests.close();
    },
  };
}

function parseLink({ payload }: NetlinkMessage): Interface {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const attributes = readAttributes(payload.subarray(16));
  const info = attributes.get(IFLA_LINKINFO);
  const kind = cString(
    (info === undefined ? undefined : readAttributes(info).get(IFLA_INFO_KIND)) ?? new Uint8Array(),
  );
  const type = view.getUint16(2, true);
  // Its lower device is in another namespace: here it is the lowest.
  const lowerElsewhere = attributes.has(IFLA_LINK_NETNSID);
  const u32 = (type: number): number => {
    const value = attributes.get(type);
    return value === undefined || value.length < 4
      ? 0
      : new DataView(value.buffer, value.byteOffset, 4).getUint32(0, true);
  };
  return {
    index: view.getInt32(4, true),
    name: cString(attributes.get(IFLA_IFNAME) ?? new Uint8Array()),
    up: (view.getUint32(8, true) & 1) === 1,
    headerBytes: type === ETHERNET || type === LOOPBACK ? 14 : layer3Types.includes(type) ? 0 : undefined,
    lower: u32(IFLA_LINK),
    master: u32(IFLA_MASTER),
    hasPorts: portKinds.includes(kind),
    upper: upperKinds.includes(kind) && !lowerElsewhere,
  };
}
