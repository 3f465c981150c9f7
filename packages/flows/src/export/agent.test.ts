import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import {
  connect,
  createNamespace,
  requireKernel,
  startAgent,
  tcpTraffic,
} from "../../../../test/lab/index.ts";

test("an agent exports what it saw, with filters, and says how much", async (context) => {
  await requireKernel(context, "netns", "nftables", "bpf", "btf");
  const folder = await mkdtemp(join(tmpdir(), "x0-export-"));
  await using _ = { [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
  await using client = await createNamespace();
  await using server = await createNamespace();
  const [left, right] = await connect(client, server);
  const path = join(folder, "flows.json");
  const exports = `[{to="file:${path}", deny=[{port=7000}]}, {to="udp:127.0.0.1:9", format="ipfix-biflow"}]`;
  await using agent = await startAgent({ places: server, settings: [`flows.exports=${exports}`] });
  await agent.observes(2);
  const traffic = { client, server, host: right.ipv4, requestBytes: 1000, replyBytes: 1000 };
  await tcpTraffic({ ...traffic, port: 7000 });
  await tcpTraffic({ ...traffic, port: 7001 });
  const told = new RegExp(`x0tta6bl4_flows_export_records_total\\{sink="file:${path}"\\} [1-9]`);
  await vi.waitFor(async () => expect(await agent.text("/metrics")).toMatch(told), { timeout: 20_000 });
  const { parts } = await agent.get<{ parts: { name: string; features: { name: string }[] }[] }>(
    "/api/v1/health",
  );
  const features = parts.flatMap((part) => part.features.map(({ name }) => name));
  expect(features).toEqual(expect.arrayContaining([`export file:${path}`, "export udp:127.0.0.1:9"]));
  await agent.stop();
  const flows = (await readFile(path, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).flow);
  const ports = new Set(flows.flatMap(({ l4 }) => [l4?.TCP?.source_port, l4?.TCP?.destination_port]));
  expect(ports).toContain(7001);
  expect(ports).not.toContain(7000);
  const opening = flows.find(({ l4, is_reply }) => l4?.TCP?.destination_port === 7001 && is_reply === false);
  expect(opening.IP).toMatchObject({ source: left.ipv4, destination: right.ipv4 });
});
