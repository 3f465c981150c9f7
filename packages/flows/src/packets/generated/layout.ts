// Written by `npm run generate` from packages/flows/bpf. Do not edit.

export const programNames = ["x0_take_ingress","x0_take_egress","x0_take_ingress_cb","x0_take_egress_cb","x0_take_dropped"] as const;
export const mapNames = ["captured_namespaces","packet_filter","scratches","packets","fragments","counts"] as const;

export const recordFlag = {
  egress: 1,
  ethernet: 2,
  dropped: 4,
  tagged: 8,
  side: 16,
} as const;

export const packetRecordLayout = {
  size: 72,
  timeNs: 0,
  key: 8,
  ifindex: 48,
  length: 52,
  captured: 56,
  flags: 60,
  reason: 64,
  vlanTci: 68,
  vlanProtocol: 70,
} as const;

export const packetFilterFlag = {
  filterAddress: 1,
  filterSix: 2,
  filterPort: 4,
  filterProtocol: 8,
} as const;

export const packetFilterLayout = {
  size: 48,
  address: 0,
  mask: 16,
  flags: 32,
  snap: 36,
  port: 40,
  protocol: 42,
} as const;

export const packetCountsLayout = {
  size: 16,
  matched: 0,
  lost: 8,
} as const;
