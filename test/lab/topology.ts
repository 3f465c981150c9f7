/**
 * Links between namespaces that carry nothing but what the test sends: neighbours are static, there is no
 * link-local address, no duplicate address detection, no router solicitation, and the kernel's IGMP and MLD
 * reports are dropped before any device sees them. Subnet `n` is 10.77.n.0/24 and fd77:0:0:n::/64.
 */
import { createNamespace, type Namespace } from "./namespace.ts";

/** One end of a link, or an interface above one. */
export interface Interface {
  readonly namespace: Namespace;
  readonly name: string;
  readonly mac: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

export interface LinkOptions {
  /** Number of the subnet, 0 to 255; default 1. */
  readonly subnet?: number;
  /** Of the interfaces; default `eth0` on both ends. */
  readonly names?: readonly [string, string];
  readonly mtu?: number;
  /** Segmentation, receive and checksum offloads as the kernel has them; default true. */
  readonly offloads?: boolean;
}

/** Joins two namespaces by a veth pair; `.1` is the first end, `.2` the second. Needs "netns" and "nftables". */
export async function connect(
  first: Namespace,
  second: Namespace,
  options: LinkOptions = {},
): Promise<readonly [Interface, Interface]> {
  const { subnet = 1, names = ["eth0", "eth0"] } = options;
  await plug(first, second, names, options);
  const ends = [
    await address(first, names[0], subnet, 1),
    await address(second, names[1], subnet, 2),
  ] as const;
  await acquaint(ends);
  return ends;
}

export interface Pair extends AsyncDisposable {
  readonly client: Namespace;
  readonly server: Namespace;
  /** The ends of the link, of the client and of the server. */
  readonly left: Interface;
  readonly right: Interface;
}

/** Two namespaces of their own and the link between them, each segment a packet, which end together. */
export async function pair(): Promise<Pair> {
  await using stack = new AsyncDisposableStack();
  const client = stack.use(await createNamespace());
  const server = stack.use(await createNamespace());
  const [left, right] = await connect(client, server, { offloads: false });
  const owned = stack.move();
  return { client, server, left, right, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

export interface Bridged {
  readonly bridge: string;
  /** Of each host, in its order: `.1`, `.2`, …; the interface is `eth0`. */
  readonly hosts: readonly Interface[];
  /** The bridge's port to each host: `port1`, `port2`, … */
  readonly ports: readonly string[];
  /** The switch's own address on the bridge, `.254`. */
  readonly own: Interface;
}

/** Joins hosts by a bridge in `middle`. It knows all their addresses, so only multicast and broadcast flood. */
export async function bridge(
  middle: Namespace,
  hosts: readonly Namespace[],
  options: Omit<LinkOptions, "names"> & { readonly name?: string } = {},
): Promise<Bridged> {
  const { subnet = 1, name = "br0", mtu = 1500 } = options;
  await quiet(middle);
  await middle.exec(
    ["ip", "-batch", "-"],
    `link add ${name} mtu ${mtu} type bridge stp_state 0 mcast_snooping 0 ageing_time 0
link set ${name} addrgenmode none`,
  );
  const ports: string[] = [];
  const ends: Interface[] = [];
  for (const [index, host] of hosts.entries()) {
    const port = `port${index + 1}`;
    await plug(host, middle, ["eth0", port], options);
    const end = await address(host, "eth0", subnet, index + 1);
    await middle.exec([
      "sh",
      "-ec",
      `ip link set ${port} master ${name} up; bridge fdb replace ${end.mac} dev ${port} master static`,
    ]);
    ports.push(port);
    ends.push(end);
  }
  const own = await address(middle, name, subnet, 254);
  await Promise.all(ends.map(running));
  await acquaint([...ends, own]);
  return { bridge: name, hosts: ends, ports, own };
}

export interface Routed {
  /** Subnet 1: the left host and the router's `left0`. */
  readonly left: readonly [Interface, Interface];
  /** Subnet 2: the right host and the router's `right0`. */
  readonly right: readonly [Interface, Interface];
}

/** Joins two hosts by a forwarding router, over both IP versions. */
export async function route(
  left: Namespace,
  router: Namespace,
  right: Namespace,
  options: Omit<LinkOptions, "names" | "subnet"> = {},
): Promise<Routed> {
  const ends = {
    left: await connect(left, router, { ...options, subnet: 1, names: ["eth0", "left0"] }),
    right: await connect(right, router, { ...options, subnet: 2, names: ["eth0", "right0"] }),
  };
  await router.sysctl({ "net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1 });
  for (const [host, gateway] of [ends.left, ends.right])
    await host.namespace.exec(
      ["ip", "-batch", "-"],
      `route add default via ${gateway.ipv4}\nroute add default via ${gateway.ipv6}`,
    );
  return ends;
}

/** Source NAT of what leaves by `out`, both IP versions. Needs "nftables". */
export async function masquerade(router: Namespace, out: string): Promise<void> {
  await router.exec(
    ["nft", "-f", "-"],
    `table inet lab_masquerade { chain postrouting { type nat hook postrouting priority srcnat; oifname ${out} masquerade; }; }`,
  );
}

export interface PortForward {
  readonly protocol: "tcp" | "udp";
  /** Interface where it arrives. */
  readonly in: string;
  readonly port: number;
  /** An IPv4 address. */
  readonly to: { readonly ip: string; readonly port: number };
}

/** Destination NAT of one port. Needs "nftables". */
export async function forwardPort(router: Namespace, forward: PortForward): Promise<void> {
  const { protocol, port, to } = forward;
  await router.exec(
    ["nft", "-f", "-"],
    `table ip lab_dnat { chain prerouting { type nat hook prerouting priority dstnat;
iifname ${forward.in} ${protocol} dport ${port} dnat to ${to.ip}:${to.port}; }; }`,
  );
}

/** A VLAN interface `<parent>.<id>` with address `.host` of its own subnet. Needs "vlan". */
export async function vlan(parent: Interface, id: number, subnet: number, host: number): Promise<Interface> {
  const name = `${parent.name}.${id}`;
  await parent.namespace.exec([
    "ip",
    "link",
    "add",
    "link",
    parent.name,
    "name",
    name,
    "type",
    "vlan",
    "id",
    `${id}`,
  ]);
  return address(parent.namespace, name, subnet, host);
}

/** A macvlan interface in bridge mode above `parent`, with address `.host` of the subnet. Needs "macvlan". */
export async function macvlan(
  parent: Interface,
  name: string,
  subnet: number,
  host: number,
): Promise<Interface> {
  const { namespace } = parent;
  await namespace.exec([
    "ip",
    "link",
    "add",
    "link",
    parent.name,
    "name",
    name,
    "type",
    "macvlan",
    "mode",
    "bridge",
  ]);
  return address(namespace, name, subnet, host);
}

/** Gives each the others' hardware addresses for good, so that none ever asks. */
export async function acquaint(interfaces: readonly Interface[]): Promise<void> {
  for (const each of interfaces) {
    const lines = interfaces
      .filter((other) => other !== each)
      .flatMap(({ ipv4, ipv6, mac }) => [ipv4, ipv6].map((ip) => neighbour(ip, mac, each.name)));
    await each.namespace.exec(["ip", "-batch", "-"], lines.join("\n"));
  }
}

/** Turns off all that makes one buffer stand for several packets or leaves checksums to hardware. */
export async function noOffloads(namespace: Namespace, name: string): Promise<void> {
  const off = ["tso", "gso", "gro", "tx-udp-segmentation", "sg", "tx", "rx"].flatMap((feature) => [
    feature,
    "off",
  ]);
  await namespace.exec(["ethtool", "-K", name, ...off]);
}

async function plug(
  first: Namespace,
  second: Namespace,
  [one, two]: readonly [string, string],
  { mtu = 1500, offloads = true, subnet = 1 }: LinkOptions,
): Promise<void> {
  await Promise.all([quiet(first), quiet(second)]);
  // Ends with equal indices, each in its namespace, do not look like a pair: the kernel then takes up to a second
  // to call them running (net/core/link_watch.c, linkwatch_urgent_event).
  const index = 100 + subnet;
  await first.exec(
    ["ip", "-batch", "-"],
    `link add ${one} index ${index} mtu ${mtu} type veth peer name ${two} mtu ${mtu} netns ${second.name}
link set ${one} addrgenmode none`,
  );
  await second.exec(["ip", "link", "set", two, "addrgenmode", "none"]);
  if (offloads) return;
  await noOffloads(first, one);
  await noOffloads(second, two);
}

async function address(namespace: Namespace, name: string, subnet: number, host: number): Promise<Interface> {
  const ipv4 = `10.77.${subnet}.${host}`;
  const ipv6 = `fd77:0:0:${subnet.toString(16)}::${host.toString(16)}`;
  await namespace.exec(
    ["ip", "-batch", "-"],
    `link set ${name} addrgenmode none
address add ${ipv4}/24 broadcast + dev ${name}
address add ${ipv6}/64 dev ${name} nodad
link set ${name} up`,
  );
  return { namespace, name, mac: (await namespace.link(name)).mac, ipv4, ipv6 };
}

/** Its carrier has become known to all: until then some programs (`os.networkInterfaces`) pass it over. */
async function running({ namespace, name }: Interface): Promise<void> {
  while ((await namespace.link(name)).operationalState !== "UP");
}

function neighbour(ip: string, mac: string, device: string): string {
  return `neigh replace ${ip} lladdr ${mac} dev ${device} nud permanent`;
}

/** Silences the kernel's own traffic, and lets it answer every packet to a closed port. Idempotent. */
async function quiet(namespace: Namespace): Promise<void> {
  await namespace.sysctl({
    "net.ipv6.conf.all.accept_ra": 0,
    "net.ipv6.conf.default.accept_ra": 0,
    "net.ipv6.conf.default.router_solicitations": 0,
    "net.ipv6.conf.default.dad_transmits": 0,
    // Errors are limited for each peer and in all: 20 datagrams to a closed port got 6 answers. A type that
    // is not in the mask is free; for ICMPv6 that leaves "packet too big" limited.
    "net.ipv4.icmp_ratemask": 0,
    "net.ipv6.icmp.ratemask": 2,
  });
  await namespace.exec(
    ["nft", "-f", "-"],
    `table inet lab_quiet
delete table inet lab_quiet
table inet lab_quiet { chain output { type filter hook output priority filter;
ip protocol igmp drop
icmpv6 type { mld-listener-report, mld2-listener-report, mld-listener-done, nd-router-solicit } drop; }; }`,
  );
}
