/**
 * Policies that are put in force one after the other, pinned, by a process that is killed: before each of its steps
 * and at any moment. Each has maps of another layout than all before it, so that every start is an upgrade.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { seededRandom } from "@x0tta6bl4/core";
import { parseAddress } from "../../packages/flows/src/address.ts";
import { linkInfo, programById, testRun } from "../../packages/flows/src/kernel/bpf.ts";
import { openLibc } from "../../packages/flows/src/kernel/libc.ts";
import { openNamespace } from "../../packages/flows/src/kernel/namespaces.ts";
import { openPinned } from "../../packages/flows/src/kernel/pins.ts";
import { removePinned } from "../../packages/flows/src/policy/enforce/pinned.ts";
import { NODE_ENDPOINT, policyProtocols } from "../../packages/flows/src/policy/model.ts";
import { openPolicyStore } from "../../packages/flows/src/policy/store/store.ts";
import { attemptFrame } from "../../packages/flows/src/policy/testing/attempt-frame.ts";
import { portOf } from "../../packages/flows/src/policy/testing/documents.ts";
import { type Interface, pair } from "../lab/index.ts";
import { deniedStream } from "./denied.ts";
import { pinnedFolder } from "./pinned-folder.ts";

const script = new URL("../../packages/flows/src/policy/testing/apply-pinned.ts", import.meta.url);
const DENIED = 9090;
const DROP = 2;
/** Of `struct __sk_buff`. */
const CONTEXT_BYTES = 192;
const IFINDEX = 40;
/** A start and some applications. */
const LIFE_MS = 1500;

export interface KillOptions {
  /** Which of the steps of one life a process is killed before, of all there are. */
  readonly before: (steps: readonly string[]) => Iterable<number>;
  /** Processes that are killed at any moment of their life. */
  readonly atRandom: number;
  readonly seed: number;
}

export interface KillReport {
  readonly steps: readonly string[];
  readonly kills: number;
  /** After which kill neither the old nor the new policy was in force as a whole, and what was. */
  readonly broken: readonly string[];
  /** Whether a denied packet was heard. */
  readonly heard: boolean;
}

export async function killedSwaps({ before, atRandom, seed }: KillOptions): Promise<KillReport> {
  const random = seededRandom(seed);
  await using closing = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "x0-killed-"));
  closing.defer(() => rm(folder, { recursive: true }));
  const net = closing.use(await pair());
  const { index } = await net.server.link(net.right.name);
  closing.defer(async () => {
    for (const pinned of await pinnedFolder(net.server.inode)()) removePinned(pinned);
  });
  const passes = prober({ ...net.right, index }, net.left, closing);
  const broken: string[] = [];
  let lives = 0;

  /** @param isOver told of each line: whether to kill it now. @param afterMs its first line it is killed anyhow. */
  const life = async (
    how: "stepwise" | "freely",
    isOver: (line: string) => boolean,
    afterMs = Number.POSITIVE_INFINITY,
  ): Promise<void> => {
    const connections = String(1000 + lives++);
    const command = [process.execPath, "--conditions=x0tta6bl4-source", fileURLToPath(script)];
    const [file = "", ...rest] = net.server.enter([...command, folder, how, connections]);
    const child = spawn(file, rest, { stdio: ["pipe", "pipe", "inherit"] });
    child.stdin.on("error", () => undefined);
    const exit = once(child, "exit");
    if (afterMs < LIFE_MS)
      child.stdout.once("data", () => void setTimeout(afterMs).then(() => child.kill("SIGKILL")));
    for await (const line of createInterface({ input: child.stdout })) {
      if (isOver(line)) child.kill("SIGKILL");
      else child.stdin.write(".");
    }
    const [code, signal] = await exit;
    if (signal !== "SIGKILL") throw new Error(`it ended by itself: ${code ?? signal}`);
  };
  const judge = async (kill: string): Promise<void> => {
    const number = confirmedNumber(folder);
    const allowed: number[] = [];
    for (let each = number - 1; each <= number + 2; each++)
      if (await passes(portOf(each))) allowed.push(each);
    const isWhole = allowed.length === 1 && (allowed[0] === number || allowed[0] === number + 1);
    if (!isWhole || (await passes(DENIED))) broken.push(`${kill}: ${number} is stored, ${allowed} pass`);
  };

  await life("freely", (line) => line.startsWith("done"));
  const stream = closing.use(await deniedStream(net, net.right.ipv4, DENIED));
  const steps: string[] = [];
  let rounds = 0;
  await life("stepwise", (line) => {
    steps.push(line.replace(/ \d+/, ""));
    // One that is applied for good, and one that is confirmed.
    return line.startsWith("done") && ++rounds === 2;
  });
  await judge("after two policies");
  let kills = 1;
  for (const step of before(steps)) {
    let passed = 0;
    let name = "";
    await life("stepwise", (line) => {
      name = line;
      return passed++ === step;
    });
    // Behind its start a life depends on whether its policy is to be confirmed.
    const isStart = step <= steps.indexOf("begin");
    if (isStart && name.replace(/ \d+/, "") !== steps[step])
      throw new Error(`step ${step} is ${name}, not ${steps[step]}`);
    await judge(`before step ${step}, ${name}`);
    kills++;
  }
  for (let round = 0; round < atRandom; round++) {
    const afterMs = random.next() * LIFE_MS;
    await life("freely", () => false, afterMs);
    await judge(`after ${afterMs.toFixed(0)} ms`);
    kills++;
  }
  return { steps, kills, broken, heard: stream.heard() };
}

function confirmedNumber(folder: string): number {
  const store = openPolicyStore(join(folder, "policy.db"));
  try {
    return Number(/# (\d+)/.exec(store.confirmed()?.documents[0]?.text ?? "")?.[1] ?? 0);
  } finally {
    store.close();
  }
}

/**
 * @returns whether a datagram to a port passes all that is pinned to the device. What has lost its name may be attached
 * for a moment, but is no longer to be counted on.
 */
function prober(
  device: Interface & { readonly index: number },
  { ipv4 }: Interface,
  closing: AsyncDisposableStack,
): (port: number) => Promise<boolean> {
  const libc = openLibc();
  const inside = openNamespace(libc, device.namespace.path);
  closing.defer(() => inside.close());
  const pins = pinnedFolder(device.namespace.inode);
  const context = new Uint8Array(CONTEXT_BYTES);
  new DataView(context.buffer).setUint32(IFINDEX, device.index, true);
  const [own, address] = [device.ipv4, ipv4].map(parseAddress) as [Uint8Array, Uint8Array];
  let number = 1024;
  const opened = (fd: number | undefined): number => {
    if (fd === undefined || fd < 0) throw new Error(`what is pinned cannot be opened: ${fd}`);
    return fd;
  };
  return async (port) => {
    const attempt = {
      endpoint: NODE_ENDPOINT,
      direction: "ingress",
      peer: { address },
      protocol: policyProtocols.udp,
      port,
    } as const;
    const frame = attemptFrame(attempt, own, number++);
    // To another one's address it would not be for this host.
    frame.set(Buffer.from(device.mac.replaceAll(":", ""), "hex"));
    const sets = (
      await Promise.all((await pins()).map(async (own) => (await readdir(own)).map((set) => join(own, set))))
    ).flat();
    const links = sets.map((set) => join(set, "links", `${device.index}-ingress`)).filter(existsSync);
    return links.every((path) => {
      const link = opened(openPinned(libc, path));
      const program = opened(programById(libc, linkInfo(libc, link).program));
      const { verdict } = inside.run(() => testRun(libc, program, frame, { context }));
      for (const fd of [link, program]) libc.close(fd);
      return verdict !== DROP;
    });
  };
}
