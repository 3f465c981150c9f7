/** Hosts that the tests of a file share: opened once, and without a policy when a test begins. */
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import {
  type FrameSender,
  frameSender,
  missingKernel,
  openSockets,
  type Pair,
  pair,
  requireKernel,
  type Sockets,
} from "../lab/index.ts";
import { type Guarded, guard } from "./guarded.ts";

const needs = ["netns", "nftables", "bpf", "btf", "tcx"] as const;

/** For the tests around it. @returns the hosts, once a test runs */
export function sharedHosts<Hosts extends AsyncDisposable & { readonly guarded: Guarded }>(
  open: () => Promise<Hosts>,
): () => Hosts {
  let hosts: Hosts | undefined;
  beforeEach((context) => requireKernel(context, ...needs));
  beforeAll(async () => {
    if ((await missingKernel(...needs)) === undefined) hosts = await open();
  });
  afterAll(() => hosts?.[Symbol.asyncDispose]());
  afterEach(() => hosts?.guarded.lift());
  return () => hosts as Hosts;
}

export interface GuardedPair extends AsyncDisposable {
  readonly net: Pair;
  readonly guarded: Guarded;
  /** The host that is guarded, and one beside it. */
  readonly edge: Sockets;
  readonly near: Sockets;
  /** From the other to the guarded one. */
  readonly frames: FrameSender;
}

export async function guardedPair(): Promise<GuardedPair> {
  await using stack = new AsyncDisposableStack();
  const net = stack.use(await pair());
  const [edge, near, frames, guarded] = await Promise.all([
    openSockets(net.server),
    openSockets(net.client),
    frameSender(net.left),
    guard(net.server, 2),
  ]);
  for (const one of [edge, near, frames, guarded]) stack.use(one);
  const owned = stack.move();
  return { net, guarded, edge, near, frames, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
