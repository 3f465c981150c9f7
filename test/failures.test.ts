/**
 * What goes wrong around the real `x0`: each failure is one clear line with a hint and its exit code, whatever has
 * been there stays whole, and no end of an agent, not even SIGKILL, leaves programs of ours that anyone must clean up.
 */
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import type { FlowList } from "../packages/flows/src/flow.ts";
import { pcap } from "../packages/flows/src/testing/captures.ts";
import { ethernet, ipv4, udp } from "../packages/flows/src/testing/frames.ts";
import {
  connect,
  createNamespace,
  type Interface,
  type Namespace,
  type Outcome,
  requireKernel,
  run,
  runX0,
  startAgent,
  udpTraffic,
} from "./lab/index.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "x0-failures-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** `x0: what happened`, `hint: what to do`, and no word more. */
function complaint(what: RegExp, hint: RegExp): { stdout: string; stderr: unknown } {
  return {
    stdout: "",
    stderr: expect.stringMatching(new RegExp(`^x0: .*${what.source}.*\nhint: .*${hint.source}.*\n$`)),
  };
}

const up = (...argv: string[]): Promise<Outcome> =>
  runX0(["up", "--data-dir", join(folder, "data"), "--set", "flows.enabled=false", ...argv]);
const anyPort = ["--set", "node.listen=127.0.0.1:0"] as const;

test("a second instance on one data folder is refused, and the first goes on", async () => {
  const data = join(folder, "data");
  await using first = await startAgent({ folder: data, settings: ["flows.enabled=false"] });
  expect(await up(...anyPort)).toEqual({
    code: 1,
    ...complaint(/another agent runs on .*data/, /--data-dir/),
  });
  expect(await first.text("/readyz")).toBe("ready\n");
  expect(await first.stop()).toBe(130);
  await using next = await startAgent({ folder: data, settings: ["flows.enabled=false"] });
  expect(next.process.output()).not.toContain("did not end in good order");
});

test("a port in use is refused and named", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void other.close());
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const outcome = await up("--set", `node.listen=127.0.0.1:${port}`);
  expect(outcome).toEqual({ code: 1, ...complaint(new RegExp(`port ${port} `), /node\.listen=/) });
});

test("an unknown key in the file is refused before anything is written", async () => {
  const file = join(folder, "x0.toml");
  await writeFile(file, "[flows]\nmax_flow = 4096\n");
  expect(await up(...anyPort, "--config", file)).toEqual({ code: 2, ...complaint(/max_flow/, /max_flows/) });
  expect(await readdir(folder)).toEqual(["x0.toml"]);
});

describe("a capture file", () => {
  const packet = ipv4(
    { source: "10.0.0.1", destination: "10.0.0.2" },
    udp({ sourcePort: 1000, destinationPort: 53 }),
  );
  const good = pcap([1n, 2n].map((timestampNs) => ({ frame: ethernet(packet), timestampNs })));
  /** The second packet's header says so many bytes. */
  const saying = (bytes: number): Uint8Array => {
    const file = new Uint8Array(good);
    const at = 24 + (good.length - 24) / 2 + 8;
    new DataView(file.buffer).setUint32(at, bytes, true);
    return file;
  };
  const replay = async (bytes: Uint8Array): Promise<Outcome> => {
    await writeFile(join(folder, "capture.pcap"), bytes);
    return runX0(["flows", "observe", "--replay", join(folder, "capture.pcap"), "-o", "json"]);
  };

  test("that is whole is read", async () => {
    const { code, stdout, stderr } = await replay(good);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout).packets).toEqual({ sent: 2, received: 0 });
  });

  for (const [what, file, said] of [
    ["that breaks off", good.subarray(0, -10), /ends/],
    ["that lies about a packet's size", saying(0x7fff_ffff), /2147483647/],
    ["that is none", new TextEncoder().encode("not a capture at all, whatever its name says"), /capture/],
    ["that is empty", new Uint8Array(0), /ends/],
  ] as const)
    test(`${what} is said in one line`, async () => {
      const { code, stderr } = await replay(file);
      expect({ code, stderr }).toEqual({ code: 1, stderr: complaint(said, /./).stderr });
    });
});

test("a full disk is said, and once there is room the agent starts", async (context) => {
  await requireKernel(context, "mount");
  const disk = join(folder, "data");
  await mkdir(disk);
  await run(["mount", "-t", "tmpfs", "-o", "size=64k", "x0-test", disk]);
  await using _ = { [Symbol.asyncDispose]: () => run(["umount", disk]).then(() => undefined) };
  await run(["sh", "-c", `cat /dev/zero >'${disk}/filler' 2>/dev/null || true`]);
  expect(await up(...anyPort)).toEqual({ code: 1, ...complaint(/no room left on the disk/, /--data-dir/) });
  await run(["mount", "-o", "remount,size=1m", disk]);
  await using agent = await startAgent({ folder: disk, settings: ["flows.enabled=false"] });
  expect(agent.process.output()).not.toContain("did not end in good order");
});

describe("an end of the agent", () => {
  let client: Namespace;
  let server: Namespace;
  let right: Interface;

  beforeEach(async (context) => {
    await requireKernel(context, "netns", "nftables", "bpf", "btf");
    client = await createNamespace();
    server = await createNamespace();
    [, right] = await connect(client, server, { offloads: false });
  });

  afterEach(async () => {
    await client?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  /** Our filters on each hook of the namespace's devices. */
  const filters = async (): Promise<Record<string, number>> => {
    const found: Record<string, number> = {};
    for (const device of ["lo", "eth0"])
      for (const direction of ["ingress", "egress"]) {
        const text = await server.exec(["tc", "filter", "show", "dev", device, direction]);
        found[`${device} ${direction}`] = text.match(/x0tta6bl4:flows/g)?.length ?? 0;
      }
    return found;
  };
  const none = { "lo ingress": 0, "lo egress": 0, "eth0 ingress": 0, "eth0 egress": 0 };
  const once = { "lo ingress": 0, "lo egress": 1, "eth0 ingress": 1, "eth0 egress": 1 };

  for (const attach of ["tcx", "clsact"] as const)
    test(`by SIGKILL leaves nothing that the next start does not clear away (${attach})`, async (context) => {
      if (attach === "tcx") await requireKernel(context, "tcx");
      const options = {
        places: server,
        folder: join(folder, "data"),
        settings: [`flows.attach=${attach}`],
      };
      const attached = attach === "clsact" ? once : none;
      await using killed = await startAgent(options);
      await vi.waitFor(async () => expect(await filters()).toEqual(attached), 10_000);
      await killed.process.stop("SIGKILL");
      expect(await filters()).toEqual(attached);

      await using next = await startAgent(options);
      expect(next.process.output()).toMatch(/WARN .*the last run did not end in good order.*killed/i);
      await vi.waitFor(async () => expect(await filters()).toEqual(attached), 10_000);
      await udpTraffic({ sender: client, receivers: [server], host: right.ipv4, count: 6, sizeBytes: 10 });
      const { flows } = await next.get<FlowList>("/api/v1/flows?protocol=udp");
      expect(flows.map(({ packets }) => packets)).toEqual([{ sent: 6, received: 0 }]);
      expect(await next.stop()).toBe(130);
      expect(await filters()).toEqual(none);
      expect(await server.exec(["tc", "qdisc", "show"])).not.toContain("clsact");
      await using last = await startAgent(options);
      expect(last.process.output()).not.toContain("did not end in good order");
    });

  for (const signal of ["SIGINT", "SIGTERM"] as const)
    test(`by ${signal} exits with 130 and takes all its programs out of the kernel`, async () => {
      await using agent = await startAgent({ places: server });
      const programs = await programsOf(agent.process.pid);
      expect(programs.length).toBeGreaterThanOrEqual(8);
      expect((await loaded()).filter((id) => programs.includes(id))).toEqual(programs);
      await agent.process.stop(signal);
      expect(await agent.process.exit).toBe(130);
      // The kernel frees them after a grace period.
      await vi.waitFor(
        async () => expect((await loaded()).filter((id) => programs.includes(id))).toEqual([]),
        10_000,
      );
    });
});

/** Ids of the BPF programs, and of the programs behind the links, that a process holds open. */
async function programsOf(pid: number): Promise<number[]> {
  const ids = new Set<number>();
  for (const fd of await readdir(`/proc/${pid}/fdinfo`)) {
    const text = await readFile(`/proc/${pid}/fdinfo/${fd}`, "utf8").catch(() => "");
    const id = /^prog_id:\s+(\d+)$/m.exec(text)?.[1];
    if (id !== undefined) ids.add(Number(id));
  }
  return [...ids].sort((a, b) => a - b);
}

async function loaded(): Promise<number[]> {
  const { stdout } = await run(["bpftool", "--json", "prog", "show"]);
  return (JSON.parse(stdout) as { id: number }[]).map(({ id }) => id);
}
