/** BPF_MAP_CREATE, and what the kernel says of a map that somebody else made. */
import { attributes, command, cString } from "./bpf.ts";
import { kernelError, type Libc } from "./libc.ts";
import type { MapShape } from "./object.ts";

export interface MapOptions
  extends Pick<MapShape, "type" | "keyBytes" | "valueBytes" | "maxEntries">,
    Partial<Pick<MapShape, "flags" | "keyType" | "valueType">> {
  /** The kernel keeps 15 bytes of it. */
  readonly name?: string;
  /** Descriptor of the BTF that key and value types are numbers of. */
  readonly btf?: number;
  /** Descriptor of a map like those that this one will hold. */
  readonly inner?: number;
}

/** @returns a descriptor. @throws X0_FLOWS_KERNEL_CALL */
export function createMap(libc: Libc, options: MapOptions): number {
  const { type, keyBytes, valueBytes, maxEntries, flags = 0, keyType = 0, valueType = 0 } = options;
  const { bytes, view } = attributes(72);
  for (const [index, number] of [type, keyBytes, valueBytes, maxEntries, flags, options.inner ?? 0].entries())
    view.setUint32(4 * index, number, true);
  bytes.set(new TextEncoder().encode((options.name ?? "").slice(0, 15)), 28);
  if (keyType !== 0 || valueType !== 0) {
    view.setUint32(48, options.btf ?? 0, true);
    view.setUint32(52, keyType, true);
    view.setUint32(56, valueType, true);
  }
  const fd = libc.bpf(command.mapCreate, bytes);
  if (fd < 0) throw kernelError(`creating the BPF map ${options.name ?? "of a program"}`, fd);
  return fd;
}

export interface MapInfo extends MapShape {
  readonly id: number;
  readonly name: string;
  /** Id of the BTF that key and value types are numbers of, 0 for none. */
  readonly btf: number;
}

/** What `struct bpf_map_info` says of a map. @throws X0_FLOWS_KERNEL_CALL */
export function mapInfo(libc: Libc, map: number): MapInfo {
  const INFO = 80;
  const info = libc.allocate(INFO);
  try {
    const { bytes, view } = attributes(16);
    view.setUint32(0, map, true);
    view.setUint32(4, INFO, true);
    view.setBigUint64(8, info.address, true);
    const result = libc.bpf(command.objectInfo, bytes);
    if (result < 0) throw kernelError("reading a map's info", result);
    const [type, id, keyBytes, valueBytes, maxEntries, flags] = Array.from({ length: 6 }, (_, index) =>
      info.view.getUint32(4 * index, true),
    ) as [number, number, number, number, number, number];
    const name = cString(info.bytes.subarray(24, 40));
    const [btf, keyType, valueType] = [64, 68, 72].map((at) => info.view.getUint32(at, true)) as [
      number,
      number,
      number,
    ];
    return { id, name, type, keyBytes, valueBytes, maxEntries, flags, btf, keyType, valueType };
  } finally {
    info.free();
  }
}
