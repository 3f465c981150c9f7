/** Policies of systemd units: told by the cgroup of a socket, also when a unit starts again. */
import { mkdirSync, rmdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import {
  connect,
  createCgroup,
  createNamespace,
  type Place,
  requireKernel,
  runX0,
  start,
  startAgent,
} from "./lab/index.ts";

const settings = ["flows.hubble_listen=off", "flows.hubble_relay_listen=off"];

beforeEach((context) => requireKernel(context, "netns", "bpf", "btf", "cgroup2"));

test("a unit is reached where its policy allows it, other processes as before", {
  timeout: 90_000,
}, async () => {
  await using client = await createNamespace();
  await using server = await createNamespace();
  const [left, right] = await connect(client, server);
  await using slice = createCgroup();
  const unit = `web-${process.pid}.service`;
  const folder = join(slice.path, unit);
  mkdirSync(folder);
  const inUnit: Place = { enter: (command) => within(folder, command) };
  await using agent = await startAgent({ places: server, settings });
  const x0 = (...argv: string[]) =>
    runX0(["policy", ...argv, "--data-dir", agent.folder], { places: server });
  const file = join(agent.folder, "policy.yaml");
  await writeFile(file, policy(unit, left.ipv4));
  const reaches = async (port: number): Promise<boolean> => {
    const { stdout } = await client
      .exec(["sh", "-c", `timeout 3 ${connectTo(right.ipv4, port)}; echo $?`])
      .then((text) => ({ stdout: text }));
    return stdout.trim().endsWith("0");
  };
  try {
    {
      await using ofUnit = await start(listenOn(8080, 9090), /listening/, { places: [server, inUnit] });
      await using other = await start(listenOn(9091), /listening/, { places: server });
      expect([await reaches(8080), await reaches(9090), await reaches(9091)]).toEqual([true, true, true]);
      expect(await x0("apply", file)).toMatchObject({ code: 0 });
      expect([await reaches(8080), await reaches(9090), await reaches(9091)]).toEqual([true, false, true]);
      const list = await x0("list");
      expect(list.stdout).toContain("1 workload");
      await ofUnit.stop();
      await other.stop();
    }
    // As systemd does: the cgroup goes with the unit, and a new one of the same path comes.
    rmdirSync(folder);
    mkdirSync(folder);
    await using again = await start(listenOn(8080, 9090), /listening/, { places: [server, inUnit] });
    expect([await reaches(9090), await reaches(8080)]).toEqual([false, true]);
    // The verdict is in the flow's next report.
    await expect
      .poll(async () => (await x0("show", "web", "-o", "json")).stdout, { timeout: 20_000 })
      .toContain('"deny"');
    await again.stop();
  } finally {
    rmdirSync(folder);
  }
});

function policy(unit: string, from: string): string {
  return `apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: { name: web }
spec:
  endpointSelector: { matchLabels: { unit: ${unit} } }
  ingress:
    - fromCIDR: ["${from}/32"]
      toPorts: [{ ports: [{ port: "8080", protocol: TCP }] }]
`;
}

function within(folder: string, command: readonly string[]): string[] {
  return ["sh", "-c", `echo $$ > ${folder}/cgroup.procs && exec "$@"`, "sh", ...command];
}

function listenOn(...ports: number[]): string[] {
  const listens = ports.map((port) => `require("node:net").createServer((s) => s.end()).listen(${port})`);
  return [process.execPath, "-e", `${listens.join(";")};setTimeout(() => console.log("listening"), 100);`];
}

function connectTo(host: string, port: number): string {
  return `${process.execPath} -e 'require("node:net").connect(${port}, "${host}").on("connect", () => process.exit(0)).on("error", () => process.exit(1))'`;
}
