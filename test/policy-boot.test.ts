/** A start puts the policy in force first: not even a history that cannot be opened delays it. */
import { mkdirSync, rmSync } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, expect, test } from "vitest";
import { connect, createNamespace, requireKernel, run, runX0, start, startAgent } from "./lab/index.ts";
import { deniedStream } from "./policy/denied.ts";

const x0 = fileURLToPath(new URL("../packages/node/bin/x0.mjs", import.meta.url));
const settings = ["flows.hubble_listen=off", "flows.hubble_relay_listen=off", "node.listen=127.0.0.1:0"];
const PORT = 9090;
const denial = `apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: closed}
spec: {nodeSelector: {}, ingress: [{}]}
`;

beforeEach((context) => requireKernel(context, "netns", "bpf", "btf", "tcx"));

test("the policy is in force while the history still opens", async () => {
  await using client = await createNamespace();
  await using server = await createNamespace();
  const [, right] = await connect(client, server);
  await using first = await startAgent({ places: server, settings });
  const { folder } = first;
  const file = join(folder, "policy.yaml");
  await writeFile(file, denial);
  expect(await runX0(["policy", "apply", file, "--data-dir", folder])).toMatchObject({ code: 0 });
  await first.stop();

  // Whoever opens it waits until somebody writes.
  const history = join(folder, "flows/history");
  rmSync(history, { recursive: true });
  mkdirSync(history);
  const pipe = join(history, "flows-00000001.db");
  await run(["mkfifo", pipe]);
  const up = [x0, "up", "--data-dir", folder, ...settings.flatMap((setting) => ["--set", setting])];
  const options = { places: server, environment: { NODE_OPTIONS: "" } };
  await using again = await start([process.execPath, ...up], /policies are in force/, options);
  await using denied = await deniedStream({ client, server }, right.ipv4, PORT);
  const figures = () => runX0(["policy", "list", "--data-dir", folder]);
  expect(await figures()).toMatchObject({ code: 1, stderr: expect.stringContaining("starting") });
  expect(again.output()).not.toContain("ready in");

  await (await open(pipe, "w")).close();
  await again.waitFor(/ready in/);
  const { stdout } = await figures();
  expect(stdout).toContain("closed");
  expect(denied.heard()).toBe(false);
});
