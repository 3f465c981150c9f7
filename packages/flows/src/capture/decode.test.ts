/** The BPF programs against the TypeScript decoder: the same frames through both, field by field. */
import { seededRandom } from "@x0tta6bl4/core";
import { beforeEach, expect, test } from "vitest";
import { requireKernel } from "../../../../test/lab/index.ts";
import { formatAddress } from "../address.ts";
import { flowKeyLayout, flowLayout } from "../generated/layout.ts";
import { testRun } from "../kernel/bpf.ts";
import { flowTableSizes, openKernelFlows, WHOLE_WORDS } from "../kernel/flow-table.ts";
import { openLibc } from "../kernel/libc.ts";
import { loadObject } from "../kernel/load.ts";
import { type ProgramName, shippedPrograms } from "../kernel/programs.ts";
import { protocolNumbers } from "../protocols.ts";
import { decodePacket, linkType } from "../replay/packet.ts";
import { partiesOfFragments } from "../replay/parties.ts";
import {
  authenticationHeader,
  type EthernetOptions,
  ethernet,
  extension,
  fragmentHeader,
  icmp,
  icmpv6,
  ipv4,
  ipv4Fragments,
  ipv6,
  ipv6Fragments,
  sctp,
  tcp,
  type Upper,
  udp,
} from "../testing/frames.ts";

beforeEach((context) => requireKernel(context, "bpf", "btf"));

const v4 = { source: "10.1.2.3", destination: "192.0.2.99" };
const v6 = { source: "2001:db8::1", destination: "fd00::ffff:2" };
const ports = { sourcePort: 40_000, destinationPort: 443 };
const payload = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => i & 0xff);

const uppers: Record<string, { four: Upper; six: Upper }> = {
  "TCP SYN": both(tcp({ ...ports, flags: 0x02 })),
  "TCP data with options": both(tcp({ ...ports, flags: 0x18, options: payload(12) }, payload(300))),
  "TCP reset": both(tcp({ sourcePort: 443, destinationPort: 40_000, flags: 0x14 })),
  "UDP empty": both(udp(ports)),
  "UDP 1 byte": both(udp(ports, payload(1))),
  "UDP 1200 bytes": both(udp({ sourcePort: 53, destinationPort: 53 }, payload(1200))),
  SCTP: both(sctp(ports, payload(40))),
  "echo request": {
    four: icmp({ type: 8, id: 4711 }, payload(56)),
    six: icmpv6({ type: 128, id: 4711 }, payload(56)),
  },
  "echo reply": {
    four: icmp({ type: 0, id: 4711 }, payload(56)),
    six: icmpv6({ type: 129, id: 4711 }, payload(56)),
  },
  unreachable: {
    four: icmp({ type: 3, code: 3 }, payload(28)),
    six: icmpv6({ type: 1, code: 4 }, payload(48)),
  },
  GRE: both({ protocol: protocolNumbers.gre, bytes: payload(30) }),
};

function both(upper: Upper): { four: Upper; six: Upper } {
  return { four: upper, six: upper };
}

const links: Record<string, EthernetOptions> = {
  plain: {},
  padded: { pad: true },
  "802.1Q": { vlans: [{ id: 7 }] },
  "802.1ad": { vlans: [{ id: 7, tpid: 0x88a8 }, { id: 12 }] },
  "four tags": { vlans: [{ id: 0 }, { id: 7 }, { id: 0 }, { id: 12 }] },
  "five tags": { vlans: [{ id: 0 }, { id: 7 }, { id: 0 }, { id: 12 }, { id: 0 }] },
};

const extensionChains = {
  none: [],
  "hop-by-hop": [extension(0)],
  "routing and destination options": [extension(43, 2), extension(60, 1)],
  "all that may stand before": [extension(0, 1), extension(43), extension(60), authenticationHeader()],
  "atomic fragment": [fragmentHeader({ id: 9, offset: 0, more: false })],
  "eight destination options": Array.from({ length: 8 }, () => extension(60)),
  "nine destination options": Array.from({ length: 9 }, () => extension(60)),
};

/** One frame a name. */
function table(): [string, Uint8Array][] {
  const frames: [string, Uint8Array][] = [];
  for (const [link, ethernetOptions] of Object.entries(links))
    for (const [name, { four, six }] of Object.entries(uppers)) {
      frames.push([`${link}, IPv4, ${name}`, ethernet(ipv4(v4, four), ethernetOptions)]);
      frames.push([
        `${link}, IPv4 with options, ${name}`,
        ethernet(ipv4({ ...v4, options: payload(24) }, four), ethernetOptions),
      ]);
      for (const [chain, extensions] of Object.entries(extensionChains))
        frames.push([
          `${link}, IPv6, ${chain}, ${name}`,
          ethernet(ipv6({ ...v6, extensions }, six), ethernetOptions),
        ]);
    }
  return frames;
}

interface Facts {
  readonly packets: number;
  readonly netns: number;
  readonly ends: readonly string[];
  readonly protocol: number;
  readonly bytes: number;
  readonly flags: number;
  readonly sentBy: string;
  readonly icmp: number;
}

/** `struct __sk_buff` with what a test run may set. */
function context(fields: {
  cb?: readonly [number, number];
  gsoSize?: number;
  gsoSegments?: number;
}): Uint8Array {
  const bytes = new Uint8Array(192);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of (fields.cb ?? []).entries()) view.setUint32(48 + 4 * index, value, true);
  view.setUint32(164, fields.gsoSegments ?? 0, true);
  view.setUint32(176, fields.gsoSize ?? 0, true);
  return bytes;
}

interface KernelSide {
  decode(frame: Uint8Array, program?: ProgramName, context?: Uint8Array): Facts | undefined;
  close(): void;
}

/** Sends a frame through a shipped program, by default the one at ingress. */
function kernelSide(): KernelSide {
  const libc = openLibc();
  const maxFlows = 1024;
  const loaded = loadObject(libc, shippedPrograms(), {
    maxEntries: { ...flowTableSizes(maxFlows), events: 65_536 },
  });
  const flows = openKernelFlows(libc, loaded.maps, maxFlows);
  const words = new Uint32Array(WHOLE_WORDS);
  const bytes = new Uint8Array(words.buffer);
  const view = new DataView(words.buffer);
  return {
    decode(frame, program = "x0_ingress", context) {
      const options = context === undefined ? {} : { context };
      expect(testRun(libc, loaded.programs[program], frame, options).verdict).toBe(-1);
      const found = Array.from({ length: flows.reach() }, (_, index) => index).filter((index) =>
        flows.copy(index, words),
      );
      expect(found.length).toBeLessThanOrEqual(1);
      const [element] = found;
      if (element === undefined) return undefined;
      flows.copy(element, words);
      const end = (side: number): string => {
        const address = bytes.subarray(
          flowKeyLayout.address + 16 * side,
          flowKeyLayout.address + 16 * side + 16,
        );
        return `${formatAddress(address)} ${view.getUint16(flowKeyLayout.port + 2 * side, true)}`;
      };
      const packets = (side: number): bigint => view.getBigUint64(flowLayout.packets + 8 * side, true);
      const sender = packets(0) > 0n ? 0 : 1;
      expect(packets(1 - sender)).toBe(0n);
      const flags = view.getUint32(flowLayout.flags, true);
      expect(flows.find(words, 0)).toBe(element);
      const [low, high] = [flowLayout.id, flowLayout.id + 4].map((at) => view.getUint32(at, true));
      expect(flows.unlink(element, low as number, high as number)).toBe(true);
      expect(flows.find(words, 0)).toBe(-1);
      flows.free(element);
      return {
        ends: [end(0), end(1)].sort(),
        packets: Number(packets(sender)),
        netns: view.getUint16(flowKeyLayout.netns, true),
        protocol: view.getUint8(flowKeyLayout.protocol),
        bytes: Number(view.getBigUint64(flowLayout.bytes + 8 * sender, true)),
        flags: (flags >>> (8 + 8 * sender)) & 0xff,
        sentBy: end(sender),
        icmp: view.getUint16(flowLayout.icmp, true),
      };
    },
    close() {
      flows.close();
      loaded.close();
    },
  };
}

/** What the decoder and the rules of accounting say. */
function oracle(): (frame: Uint8Array) => Facts | undefined {
  const partiesOf = partiesOfFragments();
  return (frame) => {
    const packet = decodePacket(linkType.ETHERNET, frame, frame.length);
    if (packet === undefined) return undefined;
    const { protocol, sourcePort, destinationPort } = partiesOf(packet);
    const sentBy = `${formatAddress(packet.source)} ${sourcePort}`;
    return {
      packets: 1,
      netns: 0,
      ends: [sentBy, `${formatAddress(packet.destination)} ${destinationPort}`].sort(),
      protocol,
      bytes: packet.bytes,
      flags: packet.tcp?.flags ?? 0,
      sentBy,
      icmp: packet.icmp === null ? 0 : (packet.icmp.type << 8) | packet.icmp.code,
    };
  };
}

test("every kind of frame reads the same in the kernel and here", () => {
  const kernel = kernelSide();
  const expected = oracle();
  for (const [name, frame] of table()) expect([name, kernel.decode(frame)]).toEqual([name, expected(frame)]);
  kernel.close();
});

test("later fragments get the ports of the first", () => {
  const kernel = kernelSide();
  const expected = oracle();
  const frames = [
    ...ipv4Fragments({ ...v4, id: 77 }, udp(ports, payload(3000)), 1480),
    ...ipv6Fragments({ ...v6, id: 78 }, udp(ports, payload(3000)), 1440),
    ...ipv4Fragments({ ...v4, id: 79 }, icmp({ type: 8, id: 5 }, payload(3000)), 1480),
    // The first one never came: no ports.
    ...ipv4Fragments({ ...v4, id: 80 }, udp(ports, payload(3000)), 1480).slice(1),
  ].map((packet) => ethernet(packet));
  for (const [index, frame] of frames.entries())
    expect([index, kernel.decode(frame)]).toEqual([index, expected(frame)]);
  kernel.close();
});

test("damaged and truncated frames read the same in the kernel and here", () => {
  const random = seededRandom(20261122);
  const frames = table();
  const kernel = kernelSide();
  const expected = oracle();
  for (let round = 0; round < 6000; round++) {
    const [name, whole] = frames[random.below(frames.length)]!;
    // A test run takes no frame that ends within the IP header.
    const cut = Math.min(whole.length, 54 + random.below(whole.length));
    const frame = whole.slice(0, random.below(3) === 0 ? cut : whole.length);
    for (let flips = random.below(4); flips > 0; flips--)
      frame[12 + random.below(frame.length - 12)] = random.below(256);
    const where = `round ${round}, ${name}, ${Buffer.from(frame).toString("hex")}`;
    expect([where, kernel.decode(frame)]).toEqual([where, expected(frame)]);
  }
  kernel.close();
});

test("a device without a link header, in another namespace", () => {
  const kernel = kernelSide();
  // A test run takes the protocol from bytes 12 and 13, here those of the source address: 0x0800.
  const packet = ipv4(
    { source: "8.0.3.4", destination: "10.9.9.9" },
    tcp({ ...ports, flags: 0x02 }, payload(100)),
  );
  expect(kernel.decode(packet, "x0_ingress_cb", context({ cb: [5, 0] }))).toMatchObject({
    netns: 5,
    sentBy: "8.0.3.4 40000",
    bytes: 140,
    flags: 0x02,
  });
  expect(kernel.decode(ethernet(packet), "x0_ingress_cb", context({ cb: [6, 1] }))).toMatchObject({
    netns: 6,
    sentBy: "8.0.3.4 40000",
    bytes: 140,
  });
  kernel.close();
});

test.each([
  ["TCP", tcp({ ...ports, flags: 0x10, options: payload(12) }, payload(3000)), 600, 32],
  ["UDP", udp(ports, payload(3000)), 600, 8],
] as const)(
  "a %s buffer of segmentation offload is as many packets as the wire carries",
  (_, upper, size, header) => {
    const kernel = kernelSide();
    // An untrusted sender may leave the number of segments at 0.
    for (const [frame, network] of [
      [ethernet(ipv4(v4, upper)), 20],
      [ethernet(ipv6(v6, upper)), 40],
    ] as const)
      for (const gsoSegments of [5, 0]) {
        const facts = kernel.decode(frame, "x0_ingress", context({ gsoSize: size, gsoSegments }));
        expect(facts?.packets).toBe(5);
        expect(facts?.bytes).toBe(3000 + 5 * (network + header));
      }
    kernel.close();
  },
);
