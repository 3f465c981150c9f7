/** What policy costs and does in the kernel: the shipped programs in namespaces of their own. */
import { uptime } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { openLibc } from "@x0tta6bl4/flows";
import { attachType, createLink, testRun } from "../../packages/flows/src/kernel/bpf.ts";
import { fitOutFlowTable, flowTableSizes } from "../../packages/flows/src/kernel/flow-table.ts";
import { kernelError, type Libc } from "../../packages/flows/src/kernel/libc.ts";
import { loadObject } from "../../packages/flows/src/kernel/load.ts";
import { openNamespace } from "../../packages/flows/src/kernel/namespaces.ts";
import { shippedPrograms } from "../../packages/flows/src/kernel/programs.ts";
import { compile } from "../../packages/flows/src/policy/compile/compile.ts";
import { type EncodedTables, encode } from "../../packages/flows/src/policy/compile/encode.ts";
import { openGenerations } from "../../packages/flows/src/policy/enforce/generations.ts";
import { host, policyOf, tcp, worldOf } from "../../packages/flows/src/policy/testing/large.ts";
import { ethernet, ipv4, tcp as tcpHeader } from "../../packages/flows/src/testing/frames.ts";
import { connect, createNamespace, type Namespace, start } from "../../test/lab/index.ts";
import type { BenchOptions } from "./bench.ts";
import { median, round } from "./statistics.ts";

const MOST_FLOWS = 16_384;
const RING_BYTES = 1 << 20;
const DROP = 2;
const MAC = "02:00:00:00:00:02";
const RULES = 1000;
const MOST_RULES = 10_000;
const PORT = 5353;

/** `rules` hosts, each allowed a port of its own; the first may use port 443. */
function tables(rules: number): EncodedTables {
  const set = policyOf(
    Array.from({ length: rules }, (_, index) => ({
      peers: [host(index + 1)],
      ports: [tcp(index === 0 ? 443 : 1024 + index)],
    })),
  );
  return encode(compile(set, worldOf(0), undefined));
}

function openPrograms(libc: Libc) {
  const loaded = loadObject(libc, shippedPrograms(), {
    maxEntries: { ...flowTableSizes(MOST_FLOWS), events: RING_BYTES },
    programs: ["x0_ingress", "x0_egress"],
  });
  fitOutFlowTable(libc, loaded.maps.table, MOST_FLOWS);
  return { loaded, generations: openGenerations(libc, loaded.maps, () => 1000 * uptime()) };
}

/** Swaps of 1,000 rules, the most rules that one takes, and a packet of a known flow under 1,000 rules. */
export async function inKernel({ quick, note }: BenchOptions): Promise<Record<string, number>> {
  await using place = await createNamespace();
  await place.exec(["ip", "link", "add", "eth0", "address", MAC, "type", "veth", "peer", "name", "eth1"]);
  const { index } = await place.link("eth0");
  const libc = openLibc();
  const inside = openNamespace(libc, place.path);
  try {
    return inside.run(() => {
      const { loaded, generations } = openPrograms(libc);
      const context = new Uint8Array(192);
      new DataView(context.buffer).setUint32(40, index, true);
      const judged = (port: number, repeat = 1) => {
        const addresses = { source: "10.0.0.1", destination: "192.0.2.1" };
        const ports = { sourcePort: 40_000, destinationPort: port, flags: 0x10 };
        const frame = ethernet(ipv4(addresses, tcpHeader(ports, new Uint8Array(64))));
        return testRun(libc, loaded.programs.x0_ingress, frame, { context, repeat });
      };
      const began = performance.now();
      const thousand = tables(RULES);
      note(
        `${RULES} rules are ${thousand.count} entries, compiled in ${round(performance.now() - began)} ms`,
      );
      const swaps = Array.from({ length: quick ? 5 : 25 }, () => {
        const from = performance.now();
        generations.swap(thousand);
        return performance.now() - from;
      });
      if (judged(443).verdict === DROP || judged(80).verdict !== DROP)
        throw new Error("the policy of 1,000 rules does not hold");
      const repeat = quick ? 100_000 : 1_000_000;
      const hot = Array.from({ length: quick ? 3 : 15 }, () => judged(443, repeat).durationNs);
      generations.swap(tables(MOST_RULES));
      if (judged(443).verdict === DROP || judged(81).verdict !== DROP)
        throw new Error(`the policy of ${MOST_RULES} rules does not hold`);
      generations.close();
      loaded.close();
      return {
        swap_1000_rules_ms: round(median(swaps)),
        rules_max: MOST_RULES,
        ns_hot: round(median(hot)),
      };
    });
  } finally {
    inside.close();
  }
}

/** From the moment at which a policy that denies a stream comes into force to its last packet that is let through. */
export async function revoked({ quick, note }: BenchOptions): Promise<Record<string, number>> {
  await using sender = await createNamespace();
  await using receiver = await createNamespace();
  const [, { ipv4: address }] = await connect(sender, receiver);
  const { index } = await receiver.link("eth0");
  const libc = openLibc();
  const inside = openNamespace(libc, receiver.path);
  const { loaded, generations } = openPrograms(libc);
  const link = inside.run(() => createLink(libc, loaded.programs.x0_ingress, index, attachType.tcxIngress));
  inside.close();
  if (link < 0) throw kernelError("attaching to the receiver", link);
  try {
    const everybody = encode(
      compile(policyOf([{ peers: undefined, ports: undefined }]), worldOf(0), undefined),
    );
    const cutoffs: number[] = [];
    for (let round = 0; round < (quick ? 3 : 15); round++) {
      generations.swap(tables(RULES));
      generations.swap(everybody, 60_000);
      cutoffs.push(await cutoff(sender, receiver, address, generations.revert));
    }
    note(`cut off after ${Math.min(...cutoffs).toFixed(3)} to ${Math.max(...cutoffs).toFixed(3)} ms`);
    return { revoke_cutoff_ms: round(Math.max(0, median(cutoffs))) };
  } finally {
    libc.close(link);
    generations.close();
    loaded.close();
  }
}

/** @param deny turns to the policy first of all. */
async function cutoff(
  sender: Namespace,
  receiver: Namespace,
  address: string,
  deny: () => boolean,
): Promise<number> {
  await using heard = await start([process.execPath, "-e", hear], /listening/, { places: receiver });
  await using sending = await start([process.execPath, "-e", send(address)], /sending/, { places: sender });
  await sleep(200);
  const deniedNs = process.hrtime.bigint();
  if (!deny()) throw new Error("there was no policy to go back to");
  await sleep(200);
  heard.kill("SIGUSR2");
  const [, count, last] = await heard.waitFor(/(\d+) (\d+)/);
  await sending.stop();
  if (Number(count) < 1000) throw new Error(`only ${count} datagrams came before the policy`);
  return Number(BigInt(last as string) - deniedNs) / 1e6;
}

/** Tells how many datagrams came, and when the last one did by CLOCK_MONOTONIC. */
const hear = `const socket = require("node:dgram").createSocket("udp4");
let count = 0, last = 0n;
socket.on("message", () => { count++; last = process.hrtime.bigint(); });
process.on("SIGUSR2", () => console.log([count, last].join(" ")));
socket.bind(${PORT}, () => console.log("listening"));`;

function send(address: string): string {
  return `const socket = require("node:dgram").createSocket("udp4");
const next = () => socket.send("x", ${PORT}, "${address}", () => setImmediate(next));
next();
console.log("sending");`;
}

/** An agent's policy of 100 rules that allows what the bench sends. */
export function hundredRules(sender: string): string {
  const others = Array.from({ length: 99 }, (_, index) => `10.99.${index}.0/24`);
  const rules = [sender, ...others].map(
    (prefix) =>
      `    - fromCIDR: ["${prefix}"]\n      toPorts: [{ ports: [{ port: "5201", endPort: 5202 }] }]`,
  );
  return `apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: { name: hundred }
spec:
  nodeSelector: {}
  ingress:
${rules.join("\n")}
`;
}
