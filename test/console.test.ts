/**
 * The console in a real Chromium, on a real agent, over traffic that the test makes on loopback: what flows is seen,
 * the URL is the filter, keys and themes work, what is under the pointer stays, and what fails is said.
 */

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContext, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { entrance, launchChromium, missingForConsole } from "./lab/chromium.ts";
import { type Running, start } from "./lab/index.ts";

const lack = await missingForConsole("console");
const x0 = fileURLToPath(new URL("../packages/node/bin/x0.mjs", import.meta.url));

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** A server on loopback that answers each connection with `answer` bytes once the client has said everything. */
async function serve(answer: number): Promise<{ server: Server; port: number }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.resume().once("end", () => socket.end(Buffer.alloc(answer)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, port: (server.address() as AddressInfo).port };
}

/** One connection that sends `size` bytes and reads the answer to its end. */
async function talk(port: number, size: number): Promise<number> {
  const socket: Socket = connect({ port, host: "127.0.0.1" });
  await once(socket, "connect");
  const { localPort = 0 } = socket;
  socket.resume().end(Buffer.alloc(size));
  await once(socket, "close");
  return localPort;
}

/** Sends datagrams over loopback and waits for the one answer to the last of them. @returns the sender's port */
async function exchange(datagrams: number, size: number, answer: number): Promise<number> {
  const [server, client] = [createSocket("udp4"), createSocket("udp4")];
  try {
    server.bind(0, "127.0.0.1");
    await once(server, "listening");
    let seen = 0;
    server.on("message", (_, { port, address }) => {
      if (++seen === datagrams) server.send(Buffer.alloc(answer), port, address);
    });
    const answered = once(client, "message");
    for (let sent = 0; sent < datagrams; sent++)
      client.send(Buffer.alloc(size), server.address().port, "127.0.0.1");
    await answered;
    return client.address().port;
  } finally {
    server.close();
    client.close();
  }
}

describe.skipIf(lack !== undefined)("the console", () => {
  let folder: string;
  let listen: string;
  let agent: Running;
  let url: string;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  /** What Chromium complained of: script errors, refused loads, violations of the content policy. */
  let complaints: string[];
  let server: Server;
  let port: number;

  const up = async (): Promise<void> => {
    const command = [process.execPath, x0, "up", "--data-dir", folder, "--set", `node.listen=${listen}`];
    agent = await start(command, /http:\/\/\S+\?token=\S+/, {
      environment: { NO_COLOR: "1", NODE_OPTIONS: "" },
    });
    await agent.waitFor(/ready in/);
    url = agent.ready[0];
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "x0-console-"));
    listen = `127.0.0.1:${await freePort()}`;
    browser = await launchChromium();
    ({ server, port } = await serve(25));
    await up();
  });

  afterAll(async () => {
    await browser?.close();
    await agent?.stop();
    server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  beforeEach(async () => {
    context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "dark" });
    page = await context.newPage();
    complaints = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
    });
  });

  afterEach(async () => {
    await context.close();
  });

  const enter = entrance();
  const open = async (search = ""): Promise<void> => {
    await enter(page, url, `/${search}`);
    await page.locator(".sum", { hasText: "covers" }).waitFor();
  };
  const lines = (): Locator => page.locator("tbody tr[data-id]");
  const lineOf = (client: number): Locator => lines().filter({ hasText: `127.0.0.1:${client}` });
  const search = (): string => new URL(page.url()).search;

  test("traffic shows up with its ports and processes, and nothing offends the browser", async () => {
    await open();
    const client = await talk(port, 100_000);
    const line = lineOf(client);
    await line.waitFor();
    expect(await line.locator(".c-source").innerText()).toBe(`127.0.0.1:${client}`);
    expect(await line.locator(".c-destination").innerText()).toBe(`127.0.0.1:${port}`);
    expect(await line.locator(".c-protocol").innerText()).toBe("tcp");
    expect(await line.locator(".c-process").innerText()).toBe("node → node");
    await line.filter({ hasText: "ended" }).waitFor();
    expect(complaints).toEqual([]);
  });

  test("a page of another origin reads nothing, nor does a rebound name", async () => {
    await open();
    const foreign = createHttpServer((_, response) => response.end("<!doctype html><title>foreign</title>"));
    await once(foreign.listen(0, "127.0.0.1"), "listening");
    try {
      const { port: foreignPort } = foreign.address() as AddressInfo;
      // Another port of the same host gets the console's cookie sent along; another name does not.
      for (const host of ["127.0.0.1", "rebound.test"]) {
        await page.goto(`http://${host}:${foreignPort}/`);
        for (const path of ["/api/v1/flows", "/metrics", "/healthz"]) {
          const address = new URL(path, url).href;
          const read = await page.evaluate(
            (target) => fetch(target, { credentials: "include" }).then((answer) => answer.text(), String),
            address,
          );
          expect([host, path, read]).toEqual([host, path, "TypeError: Failed to fetch"]);
        }
      }
    } finally {
      foreign.close();
      foreign.closeAllConnections();
    }
    for (const path of ["/", "/api/v1/flows", "/metrics", "/healthz"]) {
      const answer = await page.goto(`http://rebound.test:${new URL(url).port}${path}`);
      expect([path, answer?.status()]).toEqual([path, 403]);
      expect(await answer?.text()).not.toMatch(/x0tta6bl4_|"flows"/);
    }
  });

  test("bytes and packets are those on the wire", async () => {
    await open();
    const asked = await exchange(10, 1000, 25);
    const line = lineOf(asked);
    // UDP sends nothing twice: 20 bytes of IPv4 header and 8 of UDP for each datagram.
    await line.getByTitle("10 280 B sent", { exact: true }).waitFor();
    await line.getByTitle("53 B received", { exact: true }).waitFor();
    expect(await line.locator(".c-sent").innerText()).toBe("10.3 kB");
    await line.getByTitle("10 sent, 1 received", { exact: true }).waitFor();
  });

  test("the charts have figures, also for those who do not see them", async () => {
    await open();
    await page.locator(".key b", { hasText: /B\/s$/ }).waitFor();
    await page.locator(".key b", { hasText: /^[\d.]+( [kM])?\/s$/ }).waitFor();
    const spoken = page.locator("table", { hasText: "means over 30 seconds" }).locator("tbody tr");
    await spoken.filter({ hasText: /B\/s/ }).first().waitFor({ state: "attached" });
  });

  test("the URL filters, the filter bar is the URL, and back goes back", async () => {
    const other = await serve(1);
    try {
      const wanted = await talk(port, 10);
      const unwanted = await talk(other.port, 10);
      await open(`?port=${port}`);
      await lineOf(wanted).waitFor();
      expect(await lineOf(unwanted).count()).toBe(0);
      await page.locator("#filter").fill(`/?port=${other.port}`);
      await page.keyboard.press("Enter");
      await lineOf(unwanted).waitFor();
      expect(await lineOf(wanted).count()).toBe(0);
      expect(search()).toBe(`?port=${other.port}`);
      await page.goBack();
      await lineOf(wanted).waitFor();
      expect(await page.locator("#filter").inputValue()).toBe(`/?port=${port}`);
      const late = [await talk(other.port, 10), await talk(port, 10)] as const;
      await lineOf(late[1]).waitFor();
      expect(await lineOf(late[0]).count()).toBe(0);
    } finally {
      other.server.close();
    }
  });

  test("a filter that means nothing is said to, and is not asked for", async () => {
    await open();
    await page.locator("#filter").fill("/?port=99999");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").filter({ hasText: "is not a port" }).waitFor();
    expect(search()).toBe("");
  });

  test("keys search, walk, open, close, pause and explain", async () => {
    await Promise.all([talk(port, 10), talk(port, 10), talk(port, 10)]);
    await open();
    await page.keyboard.press("/");
    await page.keyboard.type(`:${port} tcp`);
    await page.keyboard.press("Enter");
    await page.waitForURL(/\?port=\d+&protocol=tcp$/);
    await lines().nth(2).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    const second = (await lines().nth(1).getAttribute("data-id")) ?? "";
    await expect.poll(() => page.locator("tr:focus").getAttribute("data-id")).toBe(second);
    await page.keyboard.press("Enter");
    const panel = page.getByRole("complementary", { name: "Selected flow" });
    await panel
      .getByText("MainThread")
      .or(panel.getByText("node", { exact: true }))
      .first()
      .waitFor();
    expect(search()).toContain(`flow=${second}`);
    await page.keyboard.press("ArrowDown");
    await page.waitForURL(new RegExp(`flow=${await lines().nth(2).getAttribute("data-id")}`));
    await page.keyboard.press("Escape");
    await panel.waitFor({ state: "detached" });
    await page.keyboard.press("Space");
    await page.waitForURL(/live=off/);
    await page.keyboard.press("?");
    const help = page.getByRole("dialog", { name: "Keys" });
    await help.waitFor();
    await page.keyboard.press("Escape");
    await help.waitFor({ state: "detached" });
    await page.keyboard.press("Space");
    await page.waitForURL(/protocol=tcp$/);
    expect(complaints).toEqual([]);
  });

  test("what is under the pointer stays where it is; what arrives waits and is counted", async () => {
    await talk(port, 10);
    await open(`?port=${port}`);
    const first = await lines().first().getAttribute("data-id");
    await lines().first().hover();
    const client = await talk(port, 10);
    await page.locator(".held", { hasText: /pointer on table\s*[1-9]\d* new/ }).waitFor();
    expect(await lines().first().getAttribute("data-id")).toBe(first);
    await page.mouse.move(10, 400);
    await lineOf(client).waitFor();
    expect(await lines().first().getAttribute("data-id")).not.toBe(first);
  });

  test("light and dark follow the system until one is chosen, which lasts", async () => {
    const theme = (): Promise<unknown> => page.evaluate("document.documentElement.dataset.theme");
    const ground = (): Promise<unknown> =>
      page.evaluate("getComputedStyle(document.documentElement).backgroundColor");
    await open();
    expect(await theme()).toBe("dark");
    const dark = await ground();
    await page.emulateMedia({ colorScheme: "light" });
    await expect.poll(theme).toBe("light");
    expect(await ground()).not.toBe(dark);
    await page.keyboard.press("t");
    await expect.poll(theme).toBe("dark");
    await page.reload();
    expect(await theme()).toBe("dark");
    expect(await ground()).toBe(dark);
  });

  test("at 360 pixels nothing is wider than the screen", async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    await open();
    const client = await talk(port, 10);
    await lineOf(client).waitFor();
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360);
    await lineOf(client).click();
    await page.getByRole("complementary", { name: "Selected flow" }).waitFor();
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360);
  });

  test("a filter without flows says so, with the command and the way out", async () => {
    await open("?port=1&process=nobody");
    await page.getByRole("heading", { name: "No flow matches" }).waitFor();
    await page.getByText("x0 flows observe --port 1 --process nobody").waitFor();
    await page.getByRole("button", { name: "clear port" }).click();
    await page.waitForURL(/\?process=nobody$/);
  });

  test("without the token the page says how to get in", async () => {
    await open();
    await context.clearCookies();
    await page.locator("#filter").fill("/?protocol=tcp");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").filter({ hasText: "This browser has no access" }).waitFor();
    await page.getByText("X0_NODE_UNAUTHORIZED").waitFor();
  });

  test("when the agent ends the page keeps what it knows and says so; when it is back the page is too", async () => {
    const before = await talk(port, 10);
    await open();
    await lineOf(before).waitFor();
    await agent.stop();
    await page.getByRole("alert").filter({ hasText: "The node does not answer" }).waitFor();
    expect(await lineOf(before).count()).toBe(1);
    await up();
    await page.getByRole("alert").waitFor({ state: "detached" });
    await lineOf(await talk(port, 10)).waitFor();
  });
});
