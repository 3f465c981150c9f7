/**
 * What the agent does with less than root: nothing at all, no kernel types, and exactly the three capabilities that
 * flow observation needs. Whatever is off says why and what turns it on; the rest works.
 */
import { chmod, chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Flow, FlowList } from "../packages/flows/src/flow.ts";
import { pcap } from "../packages/flows/src/testing/captures.ts";
import { ethernet, ipv4, udp } from "../packages/flows/src/testing/frames.ts";
import { parseExposition } from "../packages/telemetry/src/testing/exposition.ts";
import {
  type Agent,
  createNamespace,
  type Place,
  requireKernel,
  run,
  runX0,
  shortLivedConnection,
  startAgent,
  tcpServer,
  tcpTraffic,
} from "./lab/index.ts";

interface Feature {
  readonly name: string;
  readonly state: string;
  readonly reason?: string;
  readonly hint?: string;
}

const checkout = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");
const nobody = 65_534;
const ids = [`--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups"];

let folder: string;
let environment: Readonly<Record<string, string>>;

beforeEach(async (context) => {
  await requireKernel(context, "netns", "bpf", "btf", "mount");
  folder = await mkdtemp(join(tmpdir(), "x0-privileges-"));
  await chmod(folder, 0o755);
  await run(["mkdir", "-m", "755", join(folder, "checkout"), join(folder, "data"), join(folder, "empty")]);
  await chown(join(folder, "data"), nobody, nobody);
  environment = { HOME: join(folder, "data") };
  try {
    await run([process.execPath, "--version"], { places: asNobody([]) });
  } catch (error) {
    const reason = `another user cannot run what is in this checkout: ${String(error)}`;
    process.stderr.write(`skipped: ${reason}\n`);
    context.skip(reason);
  }
  // Where sources are newer than what was built from them, only their owner can build.
  await runX0(["--version"]);
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** The checkout where every user can reach it, whatever folders it lies in; gone with the command. */
function mounted(...mounts: readonly (readonly [string, string])[]): Place {
  const binds = mounts.map(([from, to]) => `mount --bind '${from}' '${to}'`).join("\n");
  return {
    enter: (command) => ["unshare", "--mount", "sh", "-ec", `${binds}\nexec "$@"`, "sh", ...command],
  };
}

/** Another user with exactly these capabilities. */
function asNobody(capabilities: readonly string[]): Place {
  const set = ["-all", ...capabilities.map((name) => `+${name}`)].join(",");
  const place = join(folder, "checkout");
  const outside = mounted([checkout, place]);
  return {
    enter: (command) =>
      outside.enter([
        "setpriv",
        ...ids,
        `--inh-caps=${set}`,
        `--ambient-caps=${set}`,
        `--bounding-set=${set}`,
        ...command.map((word) =>
          word.startsWith(`${checkout}/`) ? place + word.slice(checkout.length) : word,
        ),
      ]),
  };
}

async function features(agent: Agent): Promise<Map<string, Feature>> {
  const health = await agent.get<{ parts: { name: string; features: Feature[] }[] }>("/api/v1/health");
  const flows = health.parts.find(({ name }) => name === "flows")?.features ?? [];
  return new Map(flows.map((feature) => [feature.name, feature]));
}

/** What holds wherever no flow can be observed. */
async function observesNothing(places: Place, reason: RegExp, hint: RegExp): Promise<void> {
  const data = join(folder, "data");
  await using agent = await startAgent({ places, folder: data, environment });
  expect((await features(agent)).get("packets")).toEqual({
    name: "packets",
    state: "off",
    reason: expect.stringMatching(reason),
    hint: expect.stringMatching(hint),
  });
  const banner = agent.process.output();
  expect(banner).toMatch(new RegExp(`off +flows: packets: .*${reason.source}.*\n +.*${hint.source}`));
  await expect(agent.get("/api/v1/flows")).rejects.toThrow(
    new RegExp(`501: .*X0_FLOWS_OFF.*${reason.source}.*${hint.source}`),
  );
  expect(await agent.text("/readyz")).toBe("ready\n");
  const observe = await runX0(["flows", "observe", "--data-dir", data], { places, environment });
  expect(observe).toMatchObject({ code: 3, stdout: "", stderr: expect.stringMatching(reason) });
  expect(observe.stderr.split("\n")).toEqual([expect.any(String), expect.stringMatching(hint), ""]);

  const doctor = await runX0(["doctor", "-o", "json", "--data-dir", data], { places, environment });
  expect(doctor.code).toBe(0);
  expect(JSON.parse(doctor.stdout).entries).toContainEqual({
    part: "flows",
    subject: "flow observation",
    outcome: "refused",
    detail: expect.stringMatching(reason),
    hint: expect.stringMatching(hint),
  });

  const capture = join(folder, "one.pcap");
  await writeFile(capture, oneDatagram());
  const replay = await runX0(["flows", "observe", "--replay", capture, "-o", "json"], {
    places,
    environment,
  });
  expect(replay.code).toBe(0);
  expect(JSON.parse(replay.stdout)).toMatchObject({
    protocol: "udp",
    source: { ip: "10.0.0.1", port: 1000 },
    destination: { ip: "10.0.0.2", port: 53 },
    packets: { sent: 1, received: 0 },
  });
  expect(await agent.stop()).toBe(130);
}

function oneDatagram(): Uint8Array {
  const packet = ipv4(
    { source: "10.0.0.1", destination: "10.0.0.2" },
    udp({ sourcePort: 1000, destinationPort: 53 }),
  );
  return pcap([{ frame: ethernet(packet), timestampNs: 0n }]);
}

test("without any privilege it starts, says what is off, and replays captures", async () => {
  await observesNothing(
    asNobody([]),
    /the process lacks CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON/,
    /run as root, or with exactly CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON/,
  );
});

test("without the kernel's types (BTF) likewise", async () => {
  await chown(join(folder, "data"), 0, 0);
  await observesNothing(
    mounted([join(folder, "empty"), "/sys/kernel/btf"]),
    /the kernel has no BTF/,
    /CONFIG_DEBUG_INFO_BTF=y/,
  );
});

describe("with exactly CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON", () => {
  const three = ["bpf", "net_admin", "perfmon"];

  test("it observes everything, processes of other users included", async () => {
    await using host = await createNamespace();
    // Older than the agent: its socket is found, not seen opening.
    const older = { host: "127.0.0.1", port: 0, connections: 1, requestBytes: 1, replyBytes: 0 };
    await using listener = await tcpServer(host, { ...older, writeBytes: 1 });
    await using agent = await startAgent({
      places: [host, asNobody(three)],
      folder: join(folder, "data"),
      environment,
    });
    const on = await features(agent);
    expect([...on.values()].filter(({ state }) => state !== "on")).toEqual([]);
    expect([...on.keys()].toSorted()).toEqual([
      "address translation",
      "history",
      "hubble",
      "hubble metrics",
      "hubble relay",
      "packets",
      "packets that the kernel drops",
      "processes of flows",
      "processes older than the agent",
      "processes that use what others opened",
    ]);

    const short = await shortLivedConnection(host, "127.0.0.1", listener.ready.port);
    await listener.result;
    const { port, client, server } = await tcpTraffic({
      client: host,
      server: host,
      host: "::1",
      requestBytes: 40_000,
      replyBytes: 20_000,
    });
    const { flows } = await agent.get<FlowList>("/api/v1/flows");
    const named = (pid: number, executable: string) => ({ pid, comm: executable, executable });
    expect(flows.find((flow) => flow.destination.port === listener.ready.port)).toMatchObject({
      process: named(short.pid, "bash"),
      peerProcess: named(listener.pid, "node"),
      packets: { sent: expect.any(Number), received: expect.any(Number) },
    });
    const long = flows.find((flow) => flow.destination.port === port);
    expect(long).toMatchObject({
      process: named(client.pid, "node"),
      peerProcess: named(server.pid, "node"),
    });
    expect(long?.bytes.sent).toBeGreaterThan(40_000);
    expect(long?.bytes.received).toBeGreaterThan(20_000);
    expect(packetsOf(flows)).toBe((await host.link("lo")).sent.packets);
    expect(await agent.stop()).toBe(130);
  });

  test("it says that run-time statistics and other namespaces need more", async () => {
    await using host = await createNamespace();
    await using other = await createNamespace();
    await using agent = await startAgent({
      places: [host, asNobody(three)],
      folder: join(folder, "data"),
      environment,
      settings: ["flows.run_time_statistics=true", `flows.namespaces=["${other.name}"]`],
    });
    const said = await features(agent);
    for (const name of ["run time of BPF programs", `network namespace ${other.name}`])
      expect(said.get(name)).toEqual({
        name,
        state: "off",
        reason: expect.stringContaining("CAP_SYS_ADMIN"),
        hint: expect.stringContaining("add CAP_SYS_ADMIN"),
      });
    expect(agent.process.output()).toMatch(/off +flows: network namespace x0lab-\S+: .*CAP_SYS_ADMIN/);
    expect(said.get("packets")?.state).toBe("on");
    await tcpTraffic({ client: host, server: host, host: "127.0.0.1", requestBytes: 1 });
    const { flows } = await agent.get<FlowList>("/api/v1/flows");
    expect(packetsOf(flows)).toBe((await host.link("lo")).sent.packets);
  });
});

test("a namespace that does not exist is a mistake in the configuration", async () => {
  const argv = ["up", "--data-dir", folder, "--set", "node.listen=127.0.0.1:0"];
  const { code, stderr } = await runX0([...argv, "--set", 'flows.namespaces=["nowhere"]']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^x0: the network namespace \/run\/netns\/nowhere cannot be opened\nhint: .*\n$/);
  const file = ["--set", `flows.namespaces=["${join(folder, "checkout/package.json")}"]`];
  await writeFile(join(folder, "checkout/package.json"), "{}");
  expect(await runX0([...argv, ...file])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^x0: the network namespace \/.* cannot be opened\nhint: .*\n$/),
  });
});

test("with root the run time of programs is measured, those of other namespaces included", async () => {
  await using host = await createNamespace();
  await using other = await createNamespace();
  await using agent = await startAgent({
    places: host,
    settings: ["flows.run_time_statistics=true", `flows.namespaces=["${other.name}"]`],
  });
  const runSeconds = async (program: string): Promise<number> => {
    const families = parseExposition(await agent.text("/metrics"), "text");
    const samples = families.get("x0tta6bl4_flows_program_run_seconds_total")?.samples ?? [];
    return samples.find(({ labels }) => labels["program"] === program)?.value ?? Number.NaN;
  };
  for (const place of [other, host]) {
    const before = await vi.waitFor(async () => {
      const seconds = await runSeconds("egress");
      expect(seconds).toBeGreaterThanOrEqual(0);
      return seconds;
    }, 10_000);
    await tcpTraffic({
      client: place,
      server: place,
      host: "127.0.0.1",
      requestBytes: 100_000,
      writeBytes: 100,
    });
    await vi.waitFor(async () => expect(await runSeconds("egress")).toBeGreaterThan(before), 5000);
  }
});

function packetsOf(flows: readonly Flow[]): number {
  return flows.reduce((sum, { packets }) => sum + packets.sent + packets.received, 0);
}
