/**
 * Faults of a link: a rate (tbf or htb), loss (a tcx program), delay (a relay process). The usual netem is not in
 * every kernel, and its delay needs no kernel at all.
 */
import type { LossContract, LossCounts, LossOptions } from "./children/loss.ts";
import type { RelayContract, RelayOptions } from "./children/relay.ts";
import type { Namespace } from "./namespace.ts";
import { type Places, type Script, startScript } from "./process.ts";

export interface RateOptions {
  readonly kind?: "tbf" | "htb";
  readonly bitsPerSecond: number;
  /** What may pass at once; default 16 KiB. */
  readonly burstBytes?: number;
  /** What may wait, beyond which packets are dropped; tbf only, default 1 MiB. */
  readonly queueBytes?: number;
}

export interface QueueCounters {
  readonly packets: number;
  readonly bytes: number;
  readonly drops: number;
  /** How often a packet had to wait. */
  readonly overlimits: number;
}

export interface RateLimit extends AsyncDisposable {
  counters(): Promise<QueueCounters>;
}

/** Limits what an interface sends. Needs "tbf" or "htb". */
export async function limitRate(
  namespace: Namespace,
  device: string,
  options: RateOptions,
): Promise<RateLimit> {
  const { kind = "tbf", bitsPerSecond, burstBytes = 16_384, queueBytes = 2 ** 20 } = options;
  const rate = ["rate", `${bitsPerSecond}bit`, "burst", `${burstBytes}b`];
  const tc = (...command: readonly string[]): Promise<string> => namespace.exec(["tc", ...command]);
  if (kind === "tbf")
    await tc("qdisc", "add", "dev", device, "root", "tbf", ...rate, "limit", `${queueBytes}b`);
  else {
    await tc("qdisc", "add", "dev", device, "root", "handle", "1:", "htb", "default", "1");
    await tc("class", "add", "dev", device, "parent", "1:", "classid", "1:1", "htb", ...rate);
  }
  return {
    counters: async () => {
      const [root] = JSON.parse(
        await tc("-s", "-j", "qdisc", "show", "dev", device, "root"),
      ) as QueueCounters[];
      if (root === undefined) throw new Error(`${device} of ${namespace.name} has no root qdisc`);
      const { packets, bytes, drops, overlimits } = root;
      return { packets, bytes, drops, overlimits };
    },
    [Symbol.asyncDispose]: async () => {
      await tc("qdisc", "del", "dev", device, "root");
    },
  };
}

export interface Loss extends AsyncDisposable {
  /** Packets so far; a buffer that segmentation offload has still to split counts once. */
  counters(): Promise<LossCounts>;
}

/**
 * Drops packets at random at an interface's tcx hook. With probability 0 it only counts: the foreign program
 * that a test puts before or after the product's. Needs "tcx".
 */
export async function dropPackets(
  namespace: Namespace,
  device: string,
  options: Omit<LossOptions, "interfaceIndex">,
): Promise<Loss> {
  const { index } = await namespace.link(device);
  // setns(2) is per thread, and a link's target is looked up in the caller's namespace: hence a process.
  const script = await startScript<LossContract>(
    new URL("./children/loss.ts", import.meta.url),
    { ...options, interfaceIndex: index },
    { places: [namespace] },
  );
  return {
    counters: () =>
      new Promise((resolve, reject) => {
        script.on(resolve);
        script.result.catch(reject);
        script.order("count");
      }),
    [Symbol.asyncDispose]: async () => {
      await script.finish();
    },
  };
}

/** Relays TCP or UDP with a delay each way, from a namespace that reaches both sides. */
export async function delayRelay(places: Places, options: RelayOptions): Promise<Script<RelayContract>> {
  return startScript<RelayContract>(new URL("./children/relay.ts", import.meta.url), options, { places });
}
