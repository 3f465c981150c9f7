/**
 * Programs on a device where the kernel has no tcx (before 6.6): the clsact queueing discipline with cls_bpf
 * filters, through rtnetlink. Unlike tcx links they outlive their process, so they carry a name by which the
 * next start finds and removes them. include/uapi/linux/{rtnetlink,pkt_sched,pkt_cls}.h.
 */
import { cString } from "./bpf.ts";
import { kernelError } from "./libc.ts";
import {
  attribute,
  type Netlink,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  readAttributes,
  u32,
} from "./netlink.ts";

const RTM_NEWQDISC = 36;
const RTM_DELQDISC = 37;
const RTM_NEWTFILTER = 44;
const RTM_DELTFILTER = 45;
const RTM_GETTFILTER = 46;
const CLSACT_HANDLE = 0xffff0000;
const CLSACT_PARENT = 0xfffffff1;
const INGRESS_PARENT = 0xfffffff2;
const EGRESS_PARENT = 0xfffffff3;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_BPF_FD = 6;
const TCA_BPF_NAME = 7;
const TCA_BPF_FLAGS = 8;
const DIRECT_ACTION = 1;
const ETH_P_ALL_BIG_ENDIAN = 0x0300;
const EEXIST = -17;

export interface ClsactFilter {
  readonly parent: number;
  readonly priority: number;
  readonly handle: number;
  readonly name: string;
}

/**
 * Puts programs before those of others.
 *
 * @param tag the filters' name: by it we know them again.
 * @returns whether the device got its clsact from us.
 * @throws X0_FLOWS_KERNEL_CALL
 */
export function attachClsact(
  netlink: Netlink,
  ifindex: number,
  tag: string,
  programs: { readonly ingress?: number; readonly egress: number },
): { readonly createdQdisc: boolean } {
  const flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
  const made = netlink.request(
    RTM_NEWQDISC,
    flags,
    join(trafficMessage(ifindex, CLSACT_HANDLE, CLSACT_PARENT, 0), attribute(TCA_KIND, text("clsact"))),
  );
  if (made < 0 && made !== EEXIST) throw kernelError("adding clsact to a device", made);
  const add = (parent: number, program: number): void => {
    const options = join(
      attribute(TCA_BPF_FD, u32(program)),
      attribute(TCA_BPF_NAME, text(tag)),
      attribute(TCA_BPF_FLAGS, u32(DIRECT_ACTION)),
    );
    const message = join(
      // Priority 1: before the filters of others.
      trafficMessage(ifindex, 0, parent, (1 << 16) | ETH_P_ALL_BIG_ENDIAN),
      attribute(TCA_KIND, text("bpf")),
      attribute(TCA_OPTIONS, options),
    );
    const result = netlink.request(RTM_NEWTFILTER, NLM_F_ACK | NLM_F_CREATE, message);
    if (result < 0) throw kernelError("adding a BPF filter to a device", result);
  };
  if (programs.ingress !== undefined) add(INGRESS_PARENT, programs.ingress);
  add(EGRESS_PARENT, programs.egress);
  return { createdQdisc: made === 0 };
}

/**
 * Removes our filters from a device, whoever of us left them. @returns how many there were.
 *
 * @param tag of the filters' names, or what they begin with.
 * @param removeQdisc also take the clsact away if nobody else has a filter there.
 */
export function detachClsact(netlink: Netlink, ifindex: number, tag: string, removeQdisc: boolean): number {
  const filters = [INGRESS_PARENT, EGRESS_PARENT].flatMap((parent) => listFilters(netlink, ifindex, parent));
  const ours = filters.filter((filter) => filter.name.startsWith(tag));
  for (const { parent, priority, handle } of ours)
    netlink.request(
      RTM_DELTFILTER,
      NLM_F_ACK,
      join(
        trafficMessage(ifindex, handle, parent, (priority << 16) | ETH_P_ALL_BIG_ENDIAN),
        attribute(TCA_KIND, text("bpf")),
      ),
    );
  if (removeQdisc && ours.length > 0 && ours.length === filters.length)
    netlink.request(
      RTM_DELQDISC,
      NLM_F_ACK,
      join(trafficMessage(ifindex, CLSACT_HANDLE, CLSACT_PARENT, 0), attribute(TCA_KIND, text("clsact"))),
    );
  return ours.length;
}

function listFilters(netlink: Netlink, ifindex: number, parent: number): ClsactFilter[] {
  const found: ClsactFilter[] = [];
  netlink.request(RTM_GETTFILTER, NLM_F_DUMP, trafficMessage(ifindex, 0, parent, 0), ({ payload }) => {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const attributes = readAttributes(payload.subarray(20));
    const options = attributes.get(TCA_OPTIONS);
    const handle = view.getUint32(8, true);
    // A dump also names the chain itself, with handle 0 and no options.
    if (handle === 0) return;
    const name = options === undefined ? undefined : readAttributes(options).get(TCA_BPF_NAME);
    found.push({
      parent,
      handle,
      priority: view.getUint32(16, true) >>> 16,
      name: name === undefined ? "" : cString(name),
    });
  });
  return found;
}

function trafficMessage(ifindex: number, handle: number, parent: number, info: number): Uint8Array {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setInt32(4, ifindex, true);
  view.setUint32(8, handle, true);
  view.setUint32(12, parent, true);
  view.setUint32(16, info >>> 0, true);
  return bytes;
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(`${value}\0`);
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
