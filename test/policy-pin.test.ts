/** A pinned policy outlives its agent: killed, started anew or stopped, no packet passes that it denies. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { connect, createNamespace, requireKernel, runX0, startAgent, tcpTraffic } from "./lab/index.ts";
import { deniedStream } from "./policy/denied.ts";

const settings = ["flows.hubble_listen=off", "flows.hubble_relay_listen=off"];
const ALLOWED = 8080;
const DENIED = 9090;

beforeEach((context) => requireKernel(context, "netns", "bpf", "btf"));

test("killed, started anew and stopped under traffic; reset lets in again", { timeout: 90_000 }, async () => {
  await using client = await createNamespace();
  await using server = await createNamespace();
  const [, right] = await connect(client, server);
  await using first = await startAgent({ places: server, settings });
  const { folder } = first;
  const x0 = (...argv: string[]) => runX0(["policy", ...argv, "--data-dir", folder], { places: server });
  const file = join(folder, "policy.yaml");
  await writeFile(file, onlyPort(ALLOWED));
  expect(await x0("apply", file, "--pin")).toMatchObject({ code: 0 });

  await using denied = await deniedStream({ client, server }, right.ipv4, DENIED);
  const isAllowed = () =>
    tcpTraffic({ client, server, host: right.ipv4, port: ALLOWED, requestBytes: 10, replyBytes: 10 });
  await isAllowed();
  first.process.kill("SIGKILL");
  await first.process.exit;
  await isAllowed();
  {
    await using second = await startAgent({ places: server, settings, folder });
    await isAllowed();
    await second.stop();
  }
  await isAllowed();
  expect(denied.heard()).toBe(false);

  // Without an agent there is still a way back in.
  expect(await x0("reset", "--yes")).toMatchObject({ code: 0 });
  await denied.comesThrough();
});

function onlyPort(port: number): string {
  return `apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: { name: only-${port} }
spec:
  nodeSelector: {}
  ingress:
    - toPorts: [{ ports: [{ port: "${port}", protocol: TCP }] }]
`;
}
