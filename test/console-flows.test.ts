/**
 * What the Flows page makes of what flows say beside their packets, in a real Chromium on a real agent: the map of
 * services, ranges, columns, a flow's own page, pictures as files, and text that someone else chose.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import type { Browser, BrowserContext, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { entrance, launchChromium, missingForConsole } from "./lab/chromium.ts";
import { type Agent, run, startAgent } from "./lab/index.ts";

const lack = await missingForConsole("console-flows");

/** A UDP port that nobody has at the moment. */
async function freeUdpPort(): Promise<number> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  return port;
}

/** An A record of 127.0.0.77 for whatever is asked, over UDP (RFC 1035 §4.1). */
async function ask(port: number, labels: readonly Buffer[]): Promise<void> {
  const name = Buffer.concat([...labels.flatMap((label) => [Buffer.of(label.length), label]), Buffer.of(0)]);
  const question = Buffer.concat([name, Buffer.of(0, 1, 0, 1)]);
  const header = (flags: number, answers: number): Buffer =>
    Buffer.of(0x12, 0x34, flags, 0, 0, 1, 0, answers, 0, 0, 0, 0);
  const record = Buffer.of(0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 127, 0, 0, 77);
  const [server, client] = [createSocket("udp4"), createSocket("udp4")];
  try {
    server.bind(port, "127.0.0.1");
    await once(server, "listening");
    server.on("message", (_, from) =>
      server.send(Buffer.concat([header(0x81, 1), question, record]), from.port, from.address),
    );
    const answered = once(client, "message");
    client.send(Buffer.concat([header(1, 0), question]), port, "127.0.0.1");
    await answered;
  } finally {
    server.close();
    client.close();
  }
}

describe.skipIf(lack !== undefined)("the Flows page", () => {
  let agent: Agent;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  /** What Chromium complained of: script errors, refused loads, violations of the content policy. */
  let complaints: string[];
  let server: Server;
  let port: number;
  let dnsPort: number;
  let http: HttpServer;
  let httpPort: number;
  let folder: string;

  const up = async (): Promise<void> => {
    const settings = [`flows.dns_ports=[${dnsPort}]`, `flows.request_ports=["http:${httpPort}"]`];
    agent = await startAgent({ folder: join(folder, "data"), settings });
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "x0-console-flows-"));
    dnsPort = await freeUdpPort();
    browser = await launchChromium();
    server = createServer((socket) => socket.on("error", () => {}).end("hello\n")).listen(0, "0.0.0.0");
    await once(server, "listening");
    ({ port } = server.address() as AddressInfo);
    http = createHttpServer(({ url }, reply) => {
      reply.statusCode = url === "/broken" ? 503 : 200;
      reply.end("ok");
    }).listen(0, "127.0.0.1");
    await once(http, "listening");
    httpPort = (http.address() as AddressInfo).port;
    await up();
  });

  afterAll(async () => {
    await browser?.close();
    await agent?.[Symbol.asyncDispose]();
    server?.close();
    http?.close();
    await rm(folder, { recursive: true, force: true });
  });

  beforeEach(async () => {
    context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
    page = await context.newPage();
    complaints = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("dialog", (dialog) => {
      complaints.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
    });
  });

  afterEach(async () => {
    await context.close();
  });

  const enter = entrance();
  const open = async (path = "/flows"): Promise<void> => {
    await enter(page, agent.url, path);
    await page.locator(".sum", { hasText: "covers" }).waitFor();
  };
  const talk = async (host = "127.0.0.1"): Promise<number> => {
    const socket = connect({ port, host });
    await once(socket, "connect");
    const { localPort = 0 } = socket;
    await once(socket.resume().end(), "close");
    return localPort;
  };
  const search = (): URLSearchParams => new URL(page.url()).searchParams;
  const lines = (): Locator => page.locator(".fl tbody tr[data-id]");
  const panel = (): Locator => page.getByRole("complementary", { name: "Selected flow" });
  const boxes = (): Locator => page.locator(".map .node");
  const saved = async (scope: Locator, name: string): Promise<string> => {
    const started = page.waitForEvent("download");
    await scope.getByRole("button", { name, exact: true }).click();
    return readFile(await (await started).path(), "latin1");
  };

  test("a process with a hostile name is shown as text in table, map, panel and files", async () => {
    // A shell in disguise: markup, an escape sequence, and an override that would read backwards.
    const name = "<i>\u202egpj\u001b[2m";
    await symlink("/bin/bash", join(folder, name));
    await run([join(folder, name), "-c", `read -r line < /dev/tcp/127.0.0.1/${port}`]);
    const shown = "<i>⟨202E⟩gpj␛[2m";
    await open(`/flows?port=${port}`);
    const line = lines().filter({ hasText: shown });
    await line.locator(".c-process").waitFor();
    await boxes().filter({ hasText: "<i>" }).waitFor();
    await line.click();
    await panel().locator("dd", { hasText: shown }).first().waitFor();
    expect(await page.locator("table i:not(.sw), .map i, aside dl i:not(.sw)").count()).toBe(0);
    const svg = await saved(page.locator(".map"), "Save the picture as SVG");
    expect(svg).toContain("&lt;i&gt;");
    expect(svg).not.toContain("<i>");
    expect(svg).not.toContain("\u001b");
    expect(complaints).toEqual([]);
  });

  test("a hostile name from DNS and one from TLS are shown as text", async () => {
    await ask(dnsPort, [
      Buffer.from("<svg/onload=alert(1)>"),
      Buffer.from("\u202e\u001b"),
      Buffer.from("test"),
    ]);
    const deaf = createServer((socket) => socket.once("data", () => socket.destroy())).listen(
      0,
      "127.0.0.77",
    );
    await once(deaf, "listening");
    const { port: deafPort } = deaf.address() as AddressInfo;
    const socket = connectTls({ port: deafPort, host: "127.0.0.77", servername: "<b>alert(2)</b>" });
    await once(socket, "error");
    deaf.close();
    await open(`/flows?ip=127.0.0.77&port=${deafPort}`);
    const shown = "<svg/onload=alert(1)>.\\226\\128\\174\\027.test";
    await lines().first().getByText(shown).waitFor();
    expect(await lines().first().locator(".c-destination").getAttribute("title")).toContain(
      `127.0.0.77:${deafPort}`,
    );
    await lines().first().click();
    await panel().locator("dd", { hasText: shown }).waitFor();
    const dns = panel().locator(".sec", { has: page.getByRole("heading", { name: "DNS" }) });
    await dns.getByText(`A ${shown} → 127.0.0.77`).waitFor();
    await panel().getByText("<b>alert(2)</b>", { exact: true }).waitFor();
    expect(await page.locator("main svg[onload], aside b:has-text('alert')").count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  test("the panel has the connection's round trips", async () => {
    const client = await talk();
    await open(`/flows?port=${client}`);
    await lines().first().click();
    const connection = panel().locator(".sec", { has: page.getByRole("heading", { name: "Connection" }) });
    await connection
      .getByText(/^[\d.]+ (µs|ms)$/)
      .first()
      .waitFor();
    await connection.getByText("0 segments").waitFor();
    const cell = lines().first().locator(".c-rtt");
    expect(await cell.getAttribute("title")).toMatch(/^[\d.]+ ms smoothed/);
  });

  test("the map says who talks to whom, and its places last", async () => {
    await talk();
    await open();
    await boxes().first().waitFor();
    await page.getByRole("button", { name: "Find new places for all" }).click();
    const first = boxes().first();
    const before = await first.getAttribute("transform");
    await first.hover();
    const at = (await first.boundingBox())!;
    await page.mouse.down();
    await page.mouse.move(at.x + at.width / 2 + 40, at.y + at.height / 2 + 10, { steps: 4 });
    await page.mouse.up();
    const moved = await first.getAttribute("transform");
    expect(moved).not.toBe(before);
    const key = (await first.getAttribute("data-key"))!;
    await page.reload();
    const again = page.locator(`.map .node[data-key="${key}"]`);
    await again.waitFor();
    expect(await again.getAttribute("transform")).toBe(moved);
  });

  test("keys walk through the map; what is selected is in the URL and can be let go", async () => {
    await talk();
    await open("/flows?map=large");
    await boxes().nth(1).waitFor();
    await boxes().first().focus();
    const focused = (): Promise<string | undefined> =>
      page.locator(":focus").evaluate((element) => (element as HTMLElement).dataset["key"]);
    const first = await focused();
    for (const key of ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]) await page.keyboard.press(key);
    expect(await page.locator(".fl tr:focus").count()).toBe(0);
    await page.keyboard.press("Enter");
    await expect.poll(() => search().get("service")).toBe(await focused());
    expect(await page.locator(".node.selected").getAttribute("data-key")).toBe(search().get("service"));
    await page.keyboard.press("Escape");
    await expect.poll(() => search().has("service")).toBe(false);
    expect(first).toBeDefined();
    expect(complaints).toEqual([]);
  });

  test("where a drawing has no room the map is a list that says the same", async () => {
    await page.setViewportSize({ width: 1000, height: 800 });
    await talk();
    await open(`/flows?port=${port}`);
    const row = page.locator(".map .edges tbody tr").first();
    await row.waitFor();
    expect(await page.locator(".map .drawing").isVisible()).toBe(false);
    await row.getByRole("button").first().click();
    await expect.poll(() => search().has("service")).toBe(true);
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(1000);
  });

  test("a preset asks for its range and shows what is not on record as a gap", async () => {
    const client = await talk();
    await open(`/flows?port=${client}`);
    await page.getByRole("button", { name: "1h", exact: true }).click();
    await page.waitForURL(/\?port=\d+&since=1h$/);
    await page.getByRole("heading", { name: "New flows" }).waitFor();
    await lines()
      .filter({ hasText: String(client) })
      .first()
      .waitFor();
    await page
      .locator(".sum")
      .getByText(/covers from [\d:]+ to now/)
      .waitFor();
    const spoken = page.locator("caption", { hasText: "Traffic of these flows, estimated" }).locator("..");
    await spoken.locator("td", { hasText: "no data" }).first().waitFor({ state: "attached" });
    const svg = await saved(page.locator(".panel").first(), "Save the picture as SVG");
    expect(svg).toContain('fill="url(#gap)"');
    await page.locator(".bar .live").click();
    await page.waitForURL(/since=1h&live=off$/);
    await page.getByRole("group", { name: "Range" }).getByRole("button", { name: "live" }).click();
    await page.waitForURL(/\/flows\?port=\d+$/);
  });

  test("two ends make a range of their own, which is past", async () => {
    await open();
    await page.getByRole("button", { name: "custom" }).click();
    const dialog = page.getByRole("dialog", { name: "Range" });
    await dialog.getByLabel("from").fill("2026-01-31T08:00:01");
    await dialog.getByLabel("to", { exact: true }).fill("2026-01-31T07:00:01");
    await dialog.getByText("A range begins before it ends.").waitFor();
    await dialog.getByLabel("to", { exact: true }).fill("2026-01-31T09:00:01");
    await dialog.getByRole("button", { name: "show" }).click();
    await expect
      .poll(() => Date.parse(search().get("until") ?? "") - Date.parse(search().get("since") ?? ""))
      .toBe(3_600_000);
    await page.locator(".bar").getByText("past").waitFor();
    await page.getByRole("heading", { name: "No flow matches" }).waitFor();
  });

  test("a click on a chart keeps the cursor there, and a key shows that minute's flows", async () => {
    await open();
    const over = page.locator(".u-over").first();
    await over.waitFor();
    const { width } = (await over.boundingBox())!;
    await over.click({ position: { x: width - 20, y: 20 } });
    await expect.poll(() => search().has("at")).toBe(true);
    const at = Date.parse(search().get("at")!);
    await page.mouse.move(5, 400);
    await page.keyboard.press("m");
    await expect
      .poll(() => [search().get("since"), search().get("until")].map((end) => Date.parse(end ?? "") - at))
      .toEqual([-30_000, 30_000]);
  });

  test("columns are chosen in the URL and by the dialog", async () => {
    await talk();
    await open(`/flows?port=${port}&columns=source,rtt,interface`);
    await lines().first().waitFor();
    expect(await page.locator(".fl th").allInnerTexts()).toEqual(["source", "RTT", "interface"]);
    await page.getByRole("button", { name: "columns" }).click();
    const dialog = page.getByRole("dialog", { name: "Columns" });
    await dialog.getByLabel("interface").click();
    await expect.poll(() => search().get("columns")).toBe("source,rtt");
    await dialog.getByRole("button", { name: "as many as fit" }).click();
    await expect.poll(() => search().has("columns")).toBe(false);
  });

  test("a dropped packet is in the table, the timeline and the map", async () => {
    const client = createSocket("udp4").bind(0, "127.0.0.1");
    await once(client, "listening");
    const { port: from } = client.address();
    const to = await freeUdpPort();
    // Of the drops of a whole host only so many a window are told one by one.
    const again = setInterval(() => client.send("anyone?", to, "127.0.0.1"), 300);
    await open(`/flows?port=${from}&dropped=true`);
    await lines().first().locator(".c-drops", { hasText: /[1-9]/ }).click();
    await panel().getByRole("heading", { name: "Dropped by the kernel" }).waitFor();
    const timeline = panel().locator(".timeline");
    await timeline
      .getByText(/NO_SOCKET 35 B from the source at lo/)
      .first()
      .waitFor();
    clearInterval(again);
    client.close();
    await page.locator(".map .edge.lossy").first().waitFor({ state: "attached" });
    expect(complaints).toEqual([]);
  });

  test("requests are on the panel while they happen", async () => {
    const socket = connect({ port: httpPort, host: "127.0.0.1" });
    await once(socket, "connect");
    const request = async (path: string): Promise<void> => {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await once(socket, "data");
    };
    await request("/first");
    await open(`/flows?port=${socket.localPort}`);
    await lines().first().click();
    await panel().getByText("Requests are told while they happen").waitFor();
    await request("/<b>second</b>?secret");
    await panel().locator(".timeline").getByText("GET /<b>second</b> → 200").waitFor();
    await request("/broken");
    await panel().locator(".timeline .er", { hasText: "503" }).waitFor();
    const content = panel().locator(".sec", { has: page.getByRole("heading", { name: "Content" }) });
    await content.getByText("1 failed").waitFor();
    expect(await content.innerText()).toMatch(/requests\s+3/);
    socket.destroy();
    expect(complaints).toEqual([]);
  });

  test("the link of a flow shows it where the table does not", async () => {
    const client = await talk();
    await open(`/flows?port=${client}`);
    await lines().first().click();
    await expect.poll(() => search().has("flow")).toBe(true);
    const id = search().get("flow");
    await open(`/flows?port=${await talk()}&flow=${id}`);
    await panel().getByText(`127.0.0.1:${client}`, { exact: true }).waitFor();
    await panel().getByRole("heading", { name: "Timeline" }).waitFor();
  });

  test("a flow of a former run is found by its link, and the time between is a gap with its reason", async () => {
    const client = await talk();
    await open(`/flows?port=${client}`);
    await lines().first().click();
    await expect.poll(() => search().has("flow")).toBe(true);
    const id = search().get("flow");
    // The open page would rightly complain that the node is gone.
    await page.goto("about:blank");
    await agent.stop();
    await up();
    await open(`/flows?since=1h&ip=127.0.0.77&flow=${id}`);
    await panel().getByText(`127.0.0.1:${client}`, { exact: true }).waitFor();
    await open(`/flows?since=1h&port=${client}`);
    await page
      .locator(".sum")
      .getByTitle(/the agent was not running/)
      .waitFor();
    await lines()
      .filter({ hasText: `127.0.0.1:${client}` })
      .first()
      .waitFor();
    expect(complaints).toEqual([]);
  });

  test("pictures are files of their own kind", async () => {
    await talk();
    await open();
    await boxes().first().waitFor();
    const chart = page.locator(".panel").first();
    expect(await saved(chart, "Save the picture as SVG")).toMatch(
      /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/,
    );
    expect(await saved(chart, "Save the picture as PNG")).toMatch(/^\x89PNG/);
    expect(await saved(chart, "Save the points")).toMatch(/^time,bytes_per_second\n/);
    const map = page.locator(".map");
    expect(await saved(map, "Save the picture as SVG")).toMatch(
      /^<svg [^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"/,
    );
    expect(await saved(map, "Save the picture as PNG")).toMatch(/^\x89PNG/);
    expect(await saved(map, "Save the connections")).toMatch(
      /^from,to,bytes,packets,flows,drops,retransmits\n/,
    );
    expect(complaints).toEqual([]);
  });
});
