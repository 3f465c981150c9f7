/**
 * Throw-away network namespaces named `x0lab-<pid>-<n>`. They end with `await using`, with the processes that
 * run in them; what a killed test run left behind is swept when the next one makes its first.
 */
import { readdirSync, statSync } from "node:fs";
import { isAlive, type Place, run } from "./process.ts";

/** Where iproute2 keeps named namespaces. */
const folder = "/run/netns";

export interface LinkCounters {
  readonly packets: number;
  /** Layer-2 bytes. */
  readonly bytes: number;
  readonly dropped: number;
  readonly errors: number;
}

export interface Link {
  readonly name: string;
  readonly index: number;
  readonly mac: string;
  readonly mtu: number;
  /** RFC 2863: `UP`, `DOWN`, `LOWERLAYERDOWN`, `UNKNOWN` (lo), … */
  readonly operationalState: string;
  readonly received: LinkCounters;
  readonly sent: LinkCounters;
}

export interface Namespace extends Place, AsyncDisposable {
  readonly name: string;
  /** To be opened for setns(2). */
  readonly path: string;
  /** What `lsns -t net` prints, and the kernel calls its inum. */
  readonly inode: number;
  /** Runs a command here. @returns its stdout. @throws with its stderr unless it exits with 0. */
  exec(command: readonly string[], input?: string): Promise<string>;
  /** Sets `net.*` keys; a dot in an interface's name is written `/`. */
  sysctl(values: Readonly<Record<string, string | number>>): Promise<void>;
  links(): Promise<readonly Link[]>;
  link(name: string): Promise<Link>;
  /** Addresses of an interface, without prefix length, IPv4 first. */
  addresses(name: string): Promise<readonly string[]>;
}

/** Makes a namespace with `lo` up. Needs `requireKernel(…, "netns")`. */
export async function createNamespace(): Promise<Namespace> {
  const taken = await sweep();
  for (let n = 1; ; n++) {
    const name = `x0lab-${process.pid}-${n}`;
    if (taken.has(name)) continue;
    try {
      await run(["ip", "netns", "add", name]);
    } catch (error) {
      // Another test file of this process was quicker; iproute2 creates the name exclusively.
      if (String(error).includes("File exists")) continue;
      throw error;
    }
    const namespace = open(name);
    await namespace.exec(["ip", "link", "set", "lo", "up"]);
    return namespace;
  }
}

function open(name: string): Namespace {
  const path = `${folder}/${name}`;
  // Not `ip netns exec`: that mounts /sys anew, which hides the cgroup mounts.
  const enter = (command: readonly string[]): readonly string[] => [
    "nsenter",
    `--net=${path}`,
    "--",
    ...command,
  ];
  const exec = async (command: readonly string[], input?: string): Promise<string> =>
    (await run(enter(command), input === undefined ? {} : { input })).stdout;
  const links = async (): Promise<readonly Link[]> =>
    (JSON.parse(await exec(["ip", "-json", "-statistics", "link"])) as IpLink[]).map(readLink);
  return {
    name,
    path,
    inode: statSync(path).ino,
    enter,
    exec,
    links,
    sysctl: async (values) => {
      await exec(["sysctl", "-qw", ...Object.entries(values).map(([key, value]) => `${key}=${value}`)]);
    },
    link: async (wanted) => {
      const all = await links();
      const found = all.find((link) => link.name === wanted);
      if (found === undefined) throw new Error(`${name} has ${all.map((link) => link.name)}, not ${wanted}`);
      return found;
    },
    addresses: async (wanted) => {
      const [found] = JSON.parse(await exec(["ip", "-json", "address", "show", "dev", wanted])) as {
        addr_info: { local: string }[];
      }[];
      return (found?.addr_info ?? []).map((address) => address.local);
    },
    [Symbol.asyncDispose]: () => remove(name),
  };
}

/** Removes the namespaces of processes that are gone. @returns the names that stay. */
async function sweep(): Promise<Set<string>> {
  const kept = new Set<string>();
  for (const name of listNamespaces()) {
    const pid = Number(/^x0lab-(\d+)-\d+$/.exec(name)?.[1] ?? Number.NaN);
    if (Number.isNaN(pid) || isAlive(pid)) kept.add(name);
    // Two sweepers may meet; the later one finds nothing.
    else await remove(name).catch(() => {});
  }
  return kept;
}

async function remove(name: string): Promise<void> {
  if (!listNamespaces().includes(name)) return;
  const { stdout } = await run(["ip", "netns", "pids", name]);
  for (const pid of stdout.split("\n").filter(Boolean).map(Number)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
  await run(["ip", "netns", "delete", name]);
}

function listNamespaces(): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

interface IpLink {
  readonly ifname: string;
  readonly ifindex: number;
  readonly address?: string;
  readonly mtu: number;
  readonly operstate: string;
  readonly stats64: { readonly rx: LinkCounters; readonly tx: LinkCounters };
}

function readLink(link: IpLink): Link {
  const counters = ({ packets, bytes, dropped, errors }: LinkCounters): LinkCounters => ({
    packets,
    bytes,
    dropped,
    errors,
  });
  return {
    name: link.ifname,
    index: link.ifindex,
    mac: link.address ?? "",
    mtu: link.mtu,
    operationalState: link.operstate,
    received: counters(link.stats64.rx),
    sent: counters(link.stats64.tx),
  };
}
