// Written by `npm run generate` from packages/flows/bpf. Do not edit.

export const programNames = ["x0_ingress","x0_egress","x0_ingress_cb","x0_egress_cb","x0_socket","x0_connect4","x0_connect6","x0_sendmsg4","x0_sendmsg6","x0_established","x0_sockets"] as const;
export const mapNames = ["flows","events","totals","owners","processes","fragments"] as const;
export const blobSections = { dataBytes: 108336, instructionBytes: 7264 } as const;

export const flowKeyLayout = {
  size: 40,
  address: 0,
  port: 32,
  netns: 36,
  protocol: 38,
  echo: 39,
} as const;

export const flowFlag = {
  forwarded: 1,
  loopback: 2,
  egressFirst: 4,
  opener: 8,
  openerGuessed: 16,
  closed: 32,
  firstSender: 64,
  tcpFlags: 8,
  owned: 16777216,
} as const;

export const flowLayout = {
  size: 104,
  packets: 0,
  bytes: 16,
  last: 32,
  flags: 36,
  id: 40,
  firstNs: 48,
  cookie: 56,
  process: 72,
  ifindex: 88,
  icmp: 92,
  attempts: 94,
} as const;

export const eventType = {
  flowNew: 1,
  flowClosed: 2,
  flowReplaced: 3,
} as const;

export const flowEventLayout = {
  size: 152,
  type: 0,
  key: 8,
  flow: 48,
} as const;

export const processLayout = {
  size: 96,
  startNs: 0,
  cgroup: 8,
  comm: 16,
  executable: 32,
} as const;

export const program = {
  ingress: 0,
  egress: 1,
  socket: 2,
  connect: 3,
  sendmsg: 4,
  established: 5,
  sockets: 6,
  count: 7,
} as const;

export const totalsLayout = {
  size: 72,
  events: 0,
  lost: 8,
  flows: 16,
  packets: 24,
  bytes: 32,
  uncounted: 40,
  notIp: 48,
  malformed: 56,
  sequence: 64,
} as const;
