/** Frames as they are, through a packet socket; and a device that swallows what it was shown. */
import type { ChurnContract, ChurnOptions } from "./children/churn.ts";
import type { FramesContract } from "./children/frames.ts";
import type { Namespace } from "./namespace.ts";
import { type Script, startScript } from "./process.ts";
import type { Interface } from "./topology.ts";

/**
 * New connections at a steady rate from one end of a link to the other; resolves when it begins. Its CPU time is its
 * own: a process apart.
 */
export async function churn(
  from: Interface,
  to: Interface,
  options: Omit<ChurnOptions, "interfaceIndex" | "to">,
): Promise<Script<ChurnContract>> {
  const { index } = await from.namespace.link(from.name);
  return startScript<ChurnContract>(
    new URL("./children/churn.ts", import.meta.url),
    { ...options, interfaceIndex: index, to: to.mac },
    { places: from.namespace },
  );
}

export interface FrameSender extends AsyncDisposable {
  /** Resolves when all have left. @throws when the device does not take them: it is down, or gone */
  send(frames: readonly Uint8Array[]): Promise<void>;
}

/** Sends frames by an interface, whatever they are; none above 2 KiB. */
export async function frameSender(from: Interface): Promise<FrameSender> {
  const { index } = await from.namespace.link(from.name);
  const script = await startScript<FramesContract>(
    new URL("./children/frames.ts", import.meta.url),
    { interfaceIndex: index },
    { places: from.namespace },
  );
  let ordered = 0;
  const waiting = new Map<number, () => void>();
  script.on((sent) => {
    waiting.get(sent)?.();
    waiting.delete(sent);
  });
  return {
    send: (frames) =>
      new Promise((resolve, reject) => {
        if (frames.length === 0) return resolve();
        ordered += frames.length;
        waiting.set(ordered, resolve);
        script.result.catch(reject);
        script.order(frames);
      }),
    [Symbol.asyncDispose]: () => script[Symbol.asyncDispose](),
  };
}

/**
 * What comes in by the device goes no further, as on a mirror port: no stack looks at it, nobody answers, and it is
 * no drop. Programs that stand before see each packet.
 */
export async function swallow(namespace: Namespace, device: string): Promise<void> {
  await namespace.exec(["tc", "qdisc", "add", "dev", device, "clsact"]);
  // Classic BPF: return TC_ACT_STOLEN.
  await namespace.exec([
    "tc",
    "filter",
    "add",
    "dev",
    device,
    "ingress",
    "bpf",
    "da",
    "bytecode",
    "1,6 0 0 4",
  ]);
}
