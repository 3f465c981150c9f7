// Written by `npm run generate` from packages/flows/bpf. Do not edit.

export const programNames = ["x0_ingress","x0_egress","x0_ingress_cb","x0_egress_cb","x0_socket","x0_connect4","x0_connect6","x0_sendmsg4","x0_sendmsg6","x0_established","x0_sockets"] as const;
export const mapNames = ["flows","events","totals","owners","processes","fragments"] as const;
export const blobSections = { dataBytes: 105392, instructionBytes: 7264 } as const;

export const flowKeyLayout = {
  size: 44,
  address: 0,
  port: 32,
  netns: 36,
  protocol: 40,
  echo: 41,
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
} as const;

export const flowLayout = {
  size: 104,
  id: 0,
  firstNs: 8,
  lastNs: 16,
  packets: 24,
  bytes: 40,
  cookie: 56,
  process: 72,
  flags: 88,
  ifindex: 92,
  icmp: 96,
  attempts: 98,
} as const;

export const eventType = {
  flowNew: 1,
  flowClosed: 2,
  flowReplaced: 3,
} as const;

export const flowEventLayout = {
  size: 160,
  type: 0,
  key: 8,
  flow: 56,
} as const;

export const ownerLayout = {
  size: 16,
  process: 0,
  cookie: 8,
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
