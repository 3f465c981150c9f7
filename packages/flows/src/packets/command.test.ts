/** `x0 flows capture` against a running agent: files, the ring, Ctrl-C, and what is left when either is killed. */
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import {
  type Agent,
  connect,
  createNamespace,
  type Interface,
  type Namespace,
  type Running,
  readCapture,
  requireKernel,
  run,
  runX0,
  start,
  startAgent,
  udpTraffic,
} from "../../../../test/lab/index.ts";
import { attachType, tcxPrograms } from "../kernel/bpf.ts";
import { openLibc } from "../kernel/libc.ts";
import { openNamespace } from "../kernel/namespaces.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf", "tcx"));

const x0 = fileURLToPath(new URL("../../../node/bin/x0.mjs", import.meta.url));

interface Net extends AsyncDisposable {
  readonly client: Namespace;
  readonly host: Namespace;
  readonly right: Interface;
  readonly agent: Agent;
  /** `x0 flows capture`, once it captures. */
  capture(...flags: readonly string[]): Promise<Running>;
  send(count: number): Promise<void>;
  /** How many programs hang on the host's device where packets come in. */
  attached(): number;
}

async function observedHost(settings: readonly string[] = []): Promise<Net> {
  const stack = new AsyncDisposableStack();
  const client = stack.use(await createNamespace());
  const host = stack.use(await createNamespace());
  const [, right] = await connect(client, host, { offloads: false });
  const agent = stack.use(await startAgent({ places: [host], settings }));
  await agent.observes(2);
  const { index } = await host.link("eth0");
  const libc = openLibc();
  const inside = openNamespace(libc, host.path);
  stack.defer(() => inside.close());
  return {
    client,
    host,
    right,
    agent,
    async capture(...flags) {
      const command = [process.execPath, x0, "flows", "capture", "--data-dir", agent.folder, ...flags];
      return stack.use(await start(command, /^capturing/m, { environment: { NODE_OPTIONS: "" } }));
    },
    async send(count) {
      const to = { sender: client, receivers: [host], host: right.ipv4, port: 4242, sizeBytes: 100 };
      await udpTraffic({ ...to, count });
    },
    attached: () => inside.run(() => tcxPrograms(libc, index, attachType.tcxIngress)?.length ?? 0),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "x0-capture-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return join(folder, "file.pcapng");
}

describe("of an agent that goes on", () => {
  let net: Net;

  beforeEach(async () => {
    net ??= await observedHost();
  });

  afterEach(async () => {
    while (net.attached() > 1) await new Promise(setImmediate);
  });

  afterAll(async () => {
    await net?.[Symbol.asyncDispose]();
  });

  test("Ctrl-C ends it with a complete file, which says what was lost", async () => {
    const file = await scratch();
    const running = await net.capture("--port", "4242", "--write", file);
    expect(net.attached()).toBe(2);
    await net.send(500);
    const said = await running.stop("SIGINT");
    expect(await running.exit).toBe(130);
    expect(said).toMatch(/^captured 500 packets$/m);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await readCapture(file)).packets).toBe(500);
    while (net.attached() > 1) await new Promise(setImmediate);
    // Ours is read by ours, too.
    const { stdout } = await runX0(["flows", "observe", "--replay", file, "-o", "json"]);
    expect(JSON.parse(stdout)).toMatchObject({
      protocol: "udp",
      destination: { port: 4242 },
      packets: { sent: 500 },
    });
  });

  test("it ends when its time is over, and writes to a pipe", async () => {
    const file = await scratch();
    const line = `"$@" >${file}`;
    const command = [
      "sh",
      "-c",
      line,
      "sh",
      process.execPath,
      x0,
      "flows",
      "capture",
      "--data-dir",
      net.agent.folder,
    ];
    await using running = await start([...command, "--for", "3s", "--port", "4242"], /^capturing/m);
    await net.send(40);
    expect(await running.exit).toBe(0);
    expect(running.output()).toMatch(/^captured 40 packets$/m);
    expect((await readCapture(file)).packets).toBe(40);
  });

  test("--ring keeps the newest packets", async () => {
    const file = await scratch();
    const running = await net.capture("--port", "4242", "--ring", "2MB", "--write", file);
    await net.send(20_000);
    const said = await running.stop("SIGINT");
    const kept = Number(/the newest (\d+) are kept/.exec(said)?.[1]);
    const lost = Number(/lost (\d+) packet/.exec(said)?.[1] ?? 0);
    expect(Number(/captured (\d+)/.exec(said)?.[1]) + lost).toBe(20_000);
    expect(kept).toBeGreaterThan(1000);
    const { size } = await stat(file);
    expect(size).toBeGreaterThan(900_000);
    expect(size).toBeLessThan(2_100_000);
    const { stdout } = await run([
      "tshark",
      "-r",
      file,
      "-T",
      "fields",
      "-e",
      "ip.id",
      "-e",
      "frame.time_epoch",
    ]);
    const rows = stdout.trim().split("\n");
    expect(rows).toHaveLength(kept);
  });

  test("only one capture at a time", async () => {
    const first = await net.capture("--write", await scratch());
    const second = await runX0([
      "flows",
      "capture",
      "--data-dir",
      net.agent.folder,
      "--write",
      await scratch(),
    ]);
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/packets are being captured already/);
    await first.stop("SIGINT");
    const third = await net.capture("--write", await scratch());
    await third.stop("SIGINT");
  });

  test("when the command is killed the agent detaches its programs", async () => {
    const running = await net.capture("--write", await scratch());
    expect(net.attached()).toBe(2);
    await running.stop("SIGKILL");
    while (net.attached() > 1) await new Promise(setImmediate);
  });

  test("what cannot be is refused before anything is captured", async () => {
    const refused = async (...flags: readonly string[]) => {
      const { code, stderr } = await runX0(["flows", "capture", "--data-dir", net.agent.folder, ...flags]);
      return { code, stderr };
    };
    const write = ["--write", await scratch()];
    expect(await refused("--ip", "10.0.0.300", ...write)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/ip cannot be/),
    });
    for (const size of ["1kB", "9000TB"])
      expect(await refused("--ring", size, ...write)).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/ring cannot be/),
      });
    expect(await refused("--for", "25h", ...write)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/24h/),
    });
    expect(await refused("--write", "/nonexistent/file")).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/cannot be written/),
    });
    const { stdout } = await run([
      "script",
      "-qec",
      `${process.execPath} ${x0} flows capture --data-dir ${net.agent.folder}`,
      "/dev/null",
    ]).catch((error: Error) => ({ stdout: String(error) }));
    expect(stdout).toMatch(/a capture is not for a terminal/);
  });
});

test("when the agent ends, the capture ends with a complete file; when it is killed nothing stays attached", async () => {
  await using net = await observedHost();
  const file = await scratch();
  const running = await net.capture("--port", "4242", "--write", file);
  await net.send(30);
  await net.agent.stop();
  await running.exit;
  expect(running.output()).toMatch(/^captured 30 packets$/m);
  expect((await readCapture(file)).packets).toBe(30);
  await using agent = await startAgent({ places: [net.host] });
  await agent.observes(2);
  await using killed = await start(
    [process.execPath, x0, "flows", "capture", "--data-dir", agent.folder, "--write", file],
    /^capturing/m,
    { environment: { NODE_OPTIONS: "" } },
  );
  expect(net.attached()).toBe(2);
  await agent.process.stop("SIGKILL");
  expect(await killed.exit).toBe(1);
  while (net.attached() > 0) await new Promise(setImmediate);
});

test("filters of clsact that a killed agent left are removed by the next", async () => {
  await using net = await observedHost(["flows.attach=clsact"]);
  const filters = async (): Promise<number> =>
    ((await net.host.exec(["tc", "filter", "show", "dev", "eth0", "ingress"])).match(/x0tta6bl4:/g) ?? [])
      .length;
  const running = await net.capture("--write", await scratch());
  expect(await filters()).toBe(2);
  await net.agent.process.stop("SIGKILL");
  await running.exit;
  expect(await filters()).toBe(2);
  await using agent = await startAgent({ places: [net.host], settings: ["flows.attach=clsact"] });
  await agent.observes(2);
  expect(await filters()).toBe(1);
});

test("where flows are not observed, packets are not captured", async () => {
  await using host = await createNamespace();
  await using agent = await startAgent({ places: [host], settings: ["flows.enabled=false"] });
  const folder = ["--data-dir", agent.folder];
  const { code, stderr } = await runX0(["flows", "capture", ...folder, "--write", await scratch()]);
  expect(code).toBe(3);
  expect(stderr).toMatch(/flows are not observed: turned off by flows.enabled/);
});
