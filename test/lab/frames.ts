/** Frames as they are, through a packet socket; and a device that swallows what it was shown. */
import type { ChurnContract, ChurnOptions } from "./children/churn.ts";
import type { Namespace } from "./namespace.ts";
import { type Script, startScript } from "./process.ts";
import type { Interface } from "./topology.ts";

/**
 * New connections at a steady rate from one end of a link to the other; resolves when it is about to begin. Its CPU
 * time is its own: a process apart.
 */
export function churn(
  from: Interface,
  to: Interface,
  options: Omit<ChurnOptions, "interfaceIndex" | "to">,
): Promise<Script<ChurnContract>> {
  return started(from, (interfaceIndex) =>
    startScript<ChurnContract>(
      new URL("./children/churn.ts", import.meta.url),
      { ...options, interfaceIndex, to: to.mac },
      { places: from.namespace },
    ),
  );
}

async function started<T>(from: Interface, start: (interfaceIndex: number) => Promise<T>): Promise<T> {
  const { index } = await from.namespace.link(from.name);
  return start(index);
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
