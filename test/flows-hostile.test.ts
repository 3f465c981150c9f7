/** Names that strangers choose are text everywhere: on a terminal, in JSON, in metrics. */
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, expect, test } from "vitest";
import type { FlowList } from "../packages/flows/src/flow.ts";
import { dnsBytes, pointer, wireName } from "../packages/flows/src/insight/testing/dns-bytes.ts";
import { clientHello, records } from "../packages/flows/src/insight/testing/tls-bytes.ts";
import { ethernet, ipv4, tcp, type Upper, udp } from "../packages/flows/src/testing/frames.ts";
import { parseExposition } from "../packages/telemetry/src/testing/exposition.ts";
import {
  connect,
  createNamespace,
  frameSender,
  requireKernel,
  runX0,
  start,
  startAgent,
  swallow,
} from "./lab/index.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf", "cgroup2"));

/** Clears the screen, sets the title, moves the cursor; a script element, quotes; the end of a line. */
const hostile = '\x1b[2J\x1b]0;owned\x07"<i>\n\r\x9b31m';
/** The kernel keeps 15 bytes of a process's name. */
const hostileComm = 'mark\x1b[2J"<\x9b\x07';
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not come
const control = /[\x00-\x09\x0b-\x1f\x7f-\x9f]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: likewise; JSON escapes no others
const unescaped = /[\x00-\x09\x0b-\x1f]/;
const client = "198.51.100.1";
const server = "203.0.113.1";

const forth = (upper: Upper): Uint8Array => ethernet(ipv4({ source: client, destination: server }, upper));
const back = (upper: Upper): Uint8Array => ethernet(ipv4({ source: server, destination: client }, upper));

/** A connection that tells a server's name, and a question with its answer, both hostile. */
function hostileFrames(): Uint8Array[] {
  const secure = { sourcePort: 40_000, destinationPort: 443 };
  const ask = { sourcePort: 40_001, destinationPort: 53 };
  const name = wireName(hostile);
  return [
    forth(tcp({ ...secure, flags: 0x02 })),
    back(tcp({ sourcePort: 443, destinationPort: 40_000, flags: 0x12 })),
    forth(
      tcp(
        { ...secure, flags: 0x18, sequence: 1 },
        records(clientHello({ serverName: `${hostile}.example` })),
      ),
    ),
    forth(udp(ask, dnsBytes({ name }))),
    back(
      udp(
        { sourcePort: 53, destinationPort: 40_001 },
        dnsBytes({ flags: 0x8180, name, answers: [{ owner: pointer(12), type: 1, data: [203, 0, 113, 1] }] }),
      ),
    ),
  ];
}

test("hostile names of processes, servers and hosts", async () => {
  await using sender = await createNamespace();
  await using host = await createNamespace();
  const [from, to] = await connect(sender, host, { offloads: false });
  await swallow(host, to.name);
  const folder = await mkdtemp(join(tmpdir(), "x0-hostile-"));
  await using agent = await startAgent({ places: host });
  await agent.observes(2);
  await using frames = await frameSender(from);
  await frames.send(hostileFrames());
  // A program whose file has such a name, and which then calls itself so.
  const program = join(folder, `evil${hostile}`);
  await copyFile("/bin/bash", program);
  const script = `printf %s "$1" >/proc/self/comm; echo x >/dev/udp/${from.ipv4}/9; echo sent; read -r -t 60`;
  await using process = await start([program, "-c", script, "evil", hostileComm], /sent/, { places: host });
  expect(process.pid).toBeGreaterThan(0);

  const isKnown = ({ flows }: FlowList): boolean =>
    flows.some(({ process }) => process?.executable?.includes("evil")) &&
    flows.some(({ tls }) => tls !== null);
  const listed = async (): Promise<FlowList> => agent.get<FlowList>("/api/v1/flows?limit=100");
  while (!isKnown(await listed())) await sleep(50);
  // The next record tells what was learned late.
  await sleep(2500);

  for (const path of ["/api/v1/flows?limit=100", "/api/v1/flows/events", "/api/v1/flows/summary"]) {
    const body = await agent.text(path);
    expect(body).not.toMatch(unescaped);
    expect(() => JSON.parse(body)).not.toThrow();
  }
  const metrics = await agent.text("/metrics");
  expect(metrics).not.toMatch(unescaped);
  expect(() => parseExposition(metrics, "text")).not.toThrow();
  for (const argv of [
    ["flows", "observe", "--last", "100"],
    ["flows", "observe", "--last", "100", "-o", "json"],
    ["flows", "summary"],
    ["flows", "summary", "-o", "json"],
  ]) {
    const { code, stdout } = await runX0([...argv, "--data-dir", agent.folder], { places: host });
    expect([argv, code]).toEqual([argv, 0]);
    expect(stdout).not.toMatch(control);
    expect(stdout).toContain("mark");
  }
  await rm(folder, { recursive: true });
});
