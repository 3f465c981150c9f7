// Written by `npm run generate` from packages/flows/bpf. Do not edit.

export const programNames = ["x0_admit","x0_ingress","x0_egress","x0_ingress_cb","x0_egress_cb","x0_socket_in","x0_socket_out","x0_cgroup_made","x0_socket","x0_connect4","x0_connect6","x0_sendmsg4","x0_sendmsg6","x0_connection","x0_sockets","x0_dropped","x0_received","x0_sent"] as const;
export const mapNames = ["buckets","flows","details","admitted","policy","name_counts","readings","fragments","spares","table","events","totals","owners","processes","services","unobserved","namespaces","turns","drops","harmless","generations","connections","exempt","automata","policy_counts","workspaces","resolvers","name_settings","asked","workloads","workload_paths","made_path","settled"] as const;

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
  application: 26,
  server: 536870912,
  heard: 1073741824,
} as const;

export const application = {
  none: 0,
  dns: 1,
  tls: 2,
  quic: 3,
  http: 4,
  postgresql: 5,
  mysql: 6,
  redis: 7,
} as const;

export const flowLayout = {
  size: 128,
  key: 0,
  last: 40,
  flags: 44,
  id: 48,
  generation: 56,
  verdict: 60,
  packets: 64,
  bytes: 80,
  firstNs: 96,
  process: 104,
  ifindex: 120,
  icmp: 124,
  attempts: 126,
} as const;

export const flowDetailLayout = {
  size: 32,
  cookie: 0,
  place: 16,
  flows: 20,
  seen: 24,
} as const;

export const bucketLayout = {
  size: 64,
  words: 0,
  passed: 60,
} as const;

export const flowTableLayout = {
  size: 384,
  secret: 0,
  buckets: 88,
  capacity: 92,
  tagMask: 96,
  spareMask: 100,
  next: 128,
  taken: 132,
  given: 256,
} as const;

export const sparesLayout = {
  size: 64,
  index: 0,
} as const;

export const decision = {
  none: 0,
  allow: 1,
  audit: 2,
  deny: 3,
} as const;

export const policyChoiceLayout = {
  size: 16,
  generation: 0,
  previous: 4,
  deadlineNs: 8,
} as const;

export const policyStateLayout = {
  size: 40,
  current: 0,
  loopback: 4,
  choices: 8,
} as const;

export const policyCountsLayout = {
  size: 40,
  verdicts: 0,
  unremembered: 8,
  related: 16,
  unready: 24,
  busy: 32,
} as const;

export const admittedLayout = {
  size: 64,
  places: 0,
} as const;

export const nameSettingsLayout = {
  size: 8,
  shortest: 0,
  longest: 4,
} as const;

export const nameCountsLayout = {
  size: 64,
  queries: 0,
  answers: 8,
  admitted: 16,
  strangers: 24,
  unasked: 32,
  malformed: 40,
  full: 48,
  busy: 56,
} as const;

export const connectionKeyLayout = {
  size: 44,
  flow: 0,
  endpoint: 40,
} as const;

export const connectionLayout = {
  size: 24,
  generation: 0,
  verdict: 4,
  last: 8,
  flow: 16,
} as const;

export const eventType = {
  flowNew: 1,
  flowClosed: 2,
  flowReplaced: 3,
  payload: 4,
  exchange: 5,
  tcp: 6,
  drop: 7,
  flowJudged: 8,
} as const;

export const flowEventLayout = {
  size: 152,
  type: 0,
  flow: 8,
  cookie: 136,
} as const;

export const payloadEventLayout = {
  size: 1504,
  type: 0,
  application: 4,
  id: 8,
  timeNs: 16,
  side: 24,
  sequence: 28,
  length: 32,
  bytes: 40,
} as const;

export const exchangeEventLayout = {
  size: 232,
  type: 0,
  application: 4,
  id: 8,
  timeNs: 16,
  latencyNs: 24,
  requestLength: 32,
  responseLength: 36,
  request: 40,
  response: 168,
} as const;

export const tcpEventLayout = {
  size: 32,
  type: 0,
  side: 4,
  id: 8,
  connectUs: 16,
  srttUs: 20,
  minRttUs: 24,
  retransmits: 28,
} as const;

export const dropEventLayout = {
  size: 80,
  type: 0,
  reason: 4,
  key: 8,
  id: 48,
  timeNs: 56,
  ifindex: 64,
  bytes: 68,
  side: 72,
  tcpFlags: 76,
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
  connection: 5,
  sockets: 6,
  used: 7,
  drops: 8,
  count: 9,
} as const;

export const totalsLayout = {
  size: 80,
  events: 0,
  lost: 8,
  flows: 16,
  packets: 24,
  bytes: 32,
  uncounted: 40,
  notIp: 48,
  malformed: 56,
  skipped: 64,
  told: 72,
} as const;
