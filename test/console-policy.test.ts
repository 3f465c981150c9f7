/**
 * The Policy page in a real Chromium, on a real agent and a real kernel, in namespaces of their own: what it shows of
 * policies, what it does to packets, and what it makes of text that someone else chose.
 */
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { entrance, launchChromium, missingForConsole } from "./lab/chromium.ts";
import { type Agent, type Pair, pair, run, start, startAgent } from "./lab/index.ts";

const lack = await missingForConsole("console-policy");

const PORT = 8080;

const hostileName = "<b>\u202egpj\u001b[2m";

const allowing = (port: number, more = ""): string => `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web}
spec:
  ${more}
  endpointSelector: {}
  ingress:
  - toPorts: [{ports: [{port: "${port}", protocol: TCP}]}]
`;

describe.skipIf(lack !== undefined)("the Policy page", () => {
  const stack = new AsyncDisposableStack();
  let folder: string;
  let network: Pair;
  let agent: Agent;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  /** What Chromium complained of: script errors, refused loads, violations of the content policy. */
  let complaints: string[];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "x0-console-policy-"));
    stack.defer(() => rm(folder, { recursive: true, force: true }));
    network = stack.use(await pair());
    const { server, left } = network;
    agent = stack.use(
      await startAgent({
        places: server,
        folder: join(folder, "data"),
        settings: [
          "policy.node_name=edge-1",
          `policy.members=[{name="web-1",labels={role="web"},addresses=["${left.ipv4}"]}]`,
        ],
      }),
    );
    await agent.observes(2);
    // A server in disguise: markup, an override that would read backwards, and an escape sequence.
    const echo = `process.title = ${JSON.stringify(hostileName)}; require("net").createServer((s) => s.on("error", () => {}).end("hello\\n")).listen(${PORT}, () => console.log("listening"))`;
    stack.use(await start([process.execPath, "-e", echo], /listening/, { places: server }));
    browser = await launchChromium(server);
    stack.defer(() => browser.close());
  });

  afterAll(() => stack.disposeAsync());

  beforeEach(async () => {
    await ask("reset", {});
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

  /** Over the agent's socket, as the command line does. */
  const ask = async (verb: string, body: unknown): Promise<unknown> => {
    const call = request({
      socketPath: join(agent.folder, "x0.sock"),
      method: "POST",
      path: `/api/v1/policy/${verb}`,
      headers: { "content-type": "application/json" },
    }).end(JSON.stringify(body));
    const [response] = (await once(call, "response")) as [IncomingMessage];
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) text += chunk;
    if (response.statusCode !== 200) throw new Error(text);
    return JSON.parse(text);
  };
  const apply = (text: string, how: Record<string, unknown> = {}): Promise<unknown> =>
    ask("apply", { files: [{ name: "test.yaml", text }], ...how });
  const enter = entrance();
  const open = async (path = "/policy"): Promise<void> => {
    await enter(page, agent.url, path);
    await page.locator(".sum", { hasText: /policy|generation/ }).waitFor();
  };
  const search = (): URLSearchParams => new URL(page.url()).searchParams;
  /** Whether a new connection from the other host gets an answer. */
  const isReached = async (patienceMs = 20_000): Promise<boolean> => {
    const connect = `const s = require("net").connect(${PORT}, "${network.right.ipv4}"); s.once("data", (d) => (console.log(String(d)), process.exit())); s.on("error", () => process.exit()); setTimeout(() => process.exit(), ${patienceMs})`;
    const { stdout } = await run([process.execPath, "-e", connect], { places: network.client });
    return stdout.includes("hello");
  };
  const panel = (name: string): Locator => page.getByRole("complementary", { name });
  const rehearsal = (): Locator => panel("Rehearse and apply");
  const write = async (text: string): Promise<void> => rehearsal().getByLabel("YAML of policies").fill(text);
  const inForce = (text: string): Locator => page.locator(".sum", { hasText: text });
  const countdown = (): Locator => page.getByRole("region", { name: "Waits for confirmation" });
  const documents = (): Locator => page.getByRole("region", { name: "Documents" }).locator("tbody tr");
  const rules = (): Locator => page.getByRole("region", { name: "Verdicts by rule" }).locator("tbody tr");
  const cell = (name: RegExp): Locator => page.locator(".cells").getByRole("button", { name });

  test("without a policy it says so, and how to come by one", async () => {
    await open();
    await page.getByRole("heading", { name: "No policy is applied" }).waitFor();
    await page.getByText("x0 policy suggest --from 24h > policy.yaml").waitFor();
    await page.getByRole("button", { name: "or do it here" }).click();
    await expect.poll(() => search().get("panel")).toBe("rehearse");
    await rehearsal().getByRole("button", { name: "example" }).click();
    await rehearsal().getByText("1 document can be applied").waitFor();
    expect(complaints).toEqual([]);
  });

  test("a draft is checked as it is written, applied for a time, and kept by its countdown", async () => {
    await open("/policy?panel=rehearse");
    await write(allowing(22));
    await rehearsal().getByText("1 document can be applied").waitFor();
    await rehearsal().getByRole("button", { name: "apply", exact: true }).click();
    await countdown()
      .getByText(/Generation \d+ falls back unless you confirm/)
      .waitFor();
    expect(await isReached(1000)).toBe(false);
    await page.reload();
    await expect.poll(() => countdown().getByRole("timer").innerText()).toMatch(/^0:[1-5]\d$/);
    expect(search().has("panel")).toBe(false);
    await page.keyboard.press("c");
    await page.keyboard.press("Enter");
    await inForce("is in force").waitFor();
    expect(await countdown().count()).toBe(0);
    await documents().filter({ hasText: "default/web" }).getByText("enforced").waitFor();
    expect(await isReached(1000)).toBe(false);
    expect(complaints).toEqual([]);
  });

  test("a countdown that runs out ends in what held before, in the kernel and on the page", async () => {
    await apply(allowing(PORT));
    await apply(allowing(22), { confirmWithinSeconds: 8 });
    await open();
    await countdown().getByRole("button", { name: "confirm" }).waitFor();
    await inForce("unconfirmed").waitFor();
    expect(await isReached(1000)).toBe(false);
    await page.locator(".said-line", { hasText: "was not kept" }).waitFor({ timeout: 20_000 });
    expect(await countdown().count()).toBe(0);
    expect(await isReached()).toBe(true);
    await page.reload();
    await page.locator(".said-line", { hasText: "was not kept" }).waitFor();
    await page.getByRole("region", { name: "Generations" }).getByText("taken back").first().waitFor();
    expect(complaints).toEqual([]);
  });

  test("revert goes back at once", async () => {
    await apply(allowing(22), { confirmWithinSeconds: 300 });
    await open();
    expect(await isReached(1000)).toBe(false);
    await countdown().getByRole("button", { name: "revert" }).click();
    await page.locator(".said-line", { hasText: "was not kept" }).waitFor();
    expect(await isReached()).toBe(true);
    expect(complaints).toEqual([]);
  });

  test("in audit nothing is denied, and the page says what would be", async () => {
    await open("/policy?panel=rehearse");
    await write(allowing(22));
    await rehearsal().getByLabel("audit: tell what would be denied").check();
    await rehearsal().getByLabel("Confirm within").selectOption("no way back");
    await rehearsal().getByRole("button", { name: "apply in audit" }).click();
    await page.locator(".said-line", { hasText: "1 document added" }).waitFor();
    expect(await isReached()).toBe(true);
    const line = rules().filter({ hasText: "default/web ingress" }).filter({ hasText: "audit" });
    await line.waitFor();
    await cell(/^web-1, all else: audit by default\/web, spec.ingress/).waitFor();
    expect(complaints).toEqual([]);
  });

  test("without a way back the page asks first", async () => {
    await open("/policy?panel=rehearse");
    await write(allowing(22));
    await rehearsal().getByLabel("Confirm within").selectOption("no way back");
    await rehearsal().getByRole("button", { name: "apply", exact: true }).click();
    const dialog = page.getByRole("dialog", { name: "Apply without a way back?" });
    await dialog.getByRole("button", { name: "not yet" }).click();
    await inForce("no policy").waitFor();
    expect(await isReached()).toBe(true);
  });

  test("the matrix says who may reach this node, beside what was seen", async () => {
    await apply(
      allowing(PORT).replace("  - toPorts", "  - fromEndpoints: [{matchLabels: {role: web}}]\n    toPorts"),
    );
    expect(await isReached()).toBe(true);
    await open();
    await cell(/^web-1, tcp 8080: allowed by default\/web, spec.ingress\[0\]; [1-9]/).waitFor();
    await cell(/^web-1, tcp 22: allowed by management, always open/).waitFor();
    await cell(/^world, tcp 8080: denied by default\/web, spec.ingress; 0 flows seen/).click();
    await panel("Selected cell").getByText("world may not reach edge-1: tcp 8080.").waitFor();
    expect([search().get("peer"), search().get("port")]).toEqual(["world:world", "tcp/8080"]);
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Enter");
    await expect.poll(() => search().get("peer")).toBe("member:web-1");
    await panel("Selected cell").getByText(`${network.left.ipv4}:`).first().waitFor();
    await panel("Selected cell").getByRole("button", { name: "default/web" }).click();
    await expect.poll(() => search().get("document")).toBe("default/web");
    await panel("Selected document").getByText("spec.ingress: 1 rule, denies the rest").waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("e");
    await expect.poll(() => page.url()).toMatch(/\/policy\?direction=egress$/);
    await page.getByText("No policy speaks of egress of edge-1: everything passes.").waitFor();
    await page.keyboard.press("e");
    const started = page.waitForEvent("download");
    await page.getByRole("button", { name: "Save the cells" }).click();
    const csv = await readFile(await (await started).path(), "utf8");
    expect(csv).toMatch(/^peer,port,decision,policy,path,flows_seen\n/);
    expect(csv).toMatch(/^member:web-1,tcp\/8080,allow,default\/web,spec.ingress\[0\],[1-9]/m);
    const drawn = page.waitForEvent("download");
    await page.getByRole("button", { name: "Save the picture as SVG" }).click();
    expect(await readFile(await (await drawn).path(), "utf8")).toMatch(/^<svg xmlns/);
    expect(complaints).toEqual([]);
  });

  test("verdicts by rule go on while one looks, and can be narrowed in the URL", async () => {
    await apply(allowing(22));
    await isReached(1000);
    await open("/policy?decision=deny");
    const line = rules().filter({ hasText: "default/web ingress" });
    const packets = async (): Promise<number> =>
      Number((await line.locator("td").nth(3).getAttribute("title"))?.replaceAll(/\D/g, ""));
    await line.getByText("denied").waitFor();
    const before = await packets();
    await isReached(1000);
    await expect.poll(packets).toBeGreaterThan(before);
    await page.getByRole("button", { name: "allowed", exact: true }).click();
    await expect.poll(() => search().get("decision")).toBe("allow");
    await expect.poll(() => rules().filter({ hasText: "denied" }).count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  test("a flow says what policy made of it, and leads to the document", async () => {
    await apply(allowing(22));
    await isReached(1000);
    await enter(page, agent.url, `/flows?port=${PORT}`);
    await page.locator(".fl tbody tr[data-id]", { hasText: "denied" }).first().click();
    const flow = page.getByRole("complementary", { name: "Selected flow" });
    await flow.getByRole("link", { name: "default/web, spec.ingress" }).click();
    await panel("Selected document").getByText("spec.ingress: 1 rule, denies the rest").waitFor();
    await page.keyboard.press("g");
    await page.keyboard.press("f");
    await page.waitForURL(/\/flows$/);
    expect(complaints).toEqual([]);
  });

  test("a document is deleted once the question is answered", async () => {
    await apply(allowing(22));
    await open();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await expect.poll(() => search().get("document")).toBe("default/web");
    await panel("Selected document").getByText('ports: [{port: "22", protocol: TCP}]').waitFor();
    await panel("Selected document").getByRole("button", { name: "delete…" }).click();
    const dialog = page.getByRole("dialog", { name: "Delete default/web?" });
    await dialog.getByText("It denies the rest of ingress").waitFor();
    await dialog.getByRole("button", { name: "keep" }).click();
    expect(await isReached(1000)).toBe(false);
    await panel("Selected document").getByRole("button", { name: "delete…" }).click();
    await dialog.getByRole("button", { name: "delete", exact: true }).click();
    await page.getByRole("heading", { name: "No policy is applied" }).waitFor();
    expect(await isReached()).toBe(true);
    expect(complaints).toEqual([]);
  });

  test("a draft is held against recorded flows before it is applied", async () => {
    expect(await isReached()).toBe(true);
    await open("/policy?panel=rehearse");
    await write(allowing(22));
    const recorded = rehearsal().locator("#recorded");
    const outcome = recorded.getByText(/^\d+ of [\d ]+ recorded flows would be dropped$/);
    // Ended flows reach the record a moment later.
    await expect
      .poll(async () => {
        await recorded.getByRole("button", { name: "rehearse" }).click();
        await recorded.getByRole("status").waitFor();
        return outcome.count();
      })
      .toBe(1);
    const group = recorded.locator(".groups li", { hasText: `tcp ${PORT}` }).first();
    await group.getByText("default/web spec.ingress").waitFor();
    await recorded.getByText(/^Covers .* of 24 hours\./).waitFor();
    expect(await isReached()).toBe(true);
    expect(complaints).toEqual([]);
  });

  test("what is wrong is told with its line, which a click shows", async () => {
    await open("/policy?panel=rehearse");
    await write(allowing(22).replace("endpointSelector", "endpointSelectr"));
    await rehearsal()
      .getByText(/problems?: cannot be applied/)
      .waitFor();
    const problem = rehearsal().locator(".problems li", { hasText: "did you mean endpointSelector?" });
    await problem.getByRole("button", { name: "line 6" }).click();
    const chosen = await rehearsal()
      .getByLabel("YAML of policies")
      .evaluate((area: HTMLTextAreaElement) => area.value.slice(area.selectionStart, area.selectionEnd));
    expect(chosen).toBe("  endpointSelectr: {}");
    expect(await rehearsal().getByRole("button", { name: "apply", exact: true }).count()).toBe(0);
    await page.reload();
    await problem.waitFor();
  });

  test("files are dropped or chosen, and become one draft", async () => {
    await open("/policy?panel=rehearse");
    const drop = await page.evaluateHandle(
      (texts) => {
        const data = new DataTransfer();
        for (const [index, text] of texts.entries()) data.items.add(new File([text], `${index}.yaml`));
        return data;
      },
      [allowing(22), allowing(23).replace("name: web", "name: more")],
    );
    await rehearsal().getByLabel("YAML of policies").dispatchEvent("drop", { dataTransfer: drop });
    await rehearsal().getByText("2 documents can be applied").waitFor();
    const file = join(folder, "third.yaml");
    await writeFile(file, allowing(24));
    await rehearsal().getByLabel("Files of policies").setInputFiles(file);
    await rehearsal().getByText("1 document can be applied").waitFor();
    expect(complaints).toEqual([]);
  });

  test("what strangers wrote is shown as text", async () => {
    const hostile = "<img src=x onerror=alert(1)>\u202e";
    await apply(allowing(PORT, `description: ${JSON.stringify(hostile)}`).replace("{}", "{} # <b>\u202etxt"));
    expect(await isReached()).toBe(true);
    await open("/policy?document=default/web");
    const shown = "<img src=x onerror=alert(1)>⟨202E⟩";
    await panel("Selected document").locator("p", { hasText: shown }).waitFor();
    await panel("Selected document").locator("pre", { hasText: "# <b>⟨202E⟩txt" }).waitFor();
    await cell(/^web-1, tcp 8080/).click();
    await panel("Selected cell").getByText("<b>⟨202E⟩gpj␛[2m").first().waitFor();
    await open("/policy?panel=rehearse");
    await write(allowing(22, `"${"<i>x</i>"}\\u202e": 1`));
    await rehearsal().locator(".problems li", { hasText: "<i>x</i>⟨202E⟩" }).waitFor();
    await open(`/policy?document=${encodeURIComponent("<s>\u202e")}&nonsense=${encodeURIComponent("<u>")}`);
    await panel("Selected document").getByRole("heading", { name: "<s>⟨202E⟩" }).waitFor();
    expect(await page.locator("main img, main i:not(.sw), aside s, aside b:has-text('txt')").count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  test("where there is little room nothing is wider than the screen", async () => {
    const ports = Array.from({ length: 20 }, (_, at) => `{port: "${1000 + 2 * at}", protocol: TCP}`);
    await apply(allowing(22).replace(/\[\{port: .*\}\]\}\]/, `[${ports}]}]`));
    for (const width of [1024, 800, 360]) {
      await page.setViewportSize({ width, height: 800 });
      await open("/policy?document=default/web");
      await cell(/^world, tcp 1038/).waitFor({ state: "attached" });
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(width);
    }
    expect(complaints).toEqual([]);
  });

  test("the countdown goes on while the node does not answer", async () => {
    await apply(allowing(22), { confirmWithinSeconds: 300 });
    await open();
    await countdown().getByRole("button", { name: "confirm" }).waitFor();
    await agent.stop();
    await countdown()
      .getByText(/^The node does not answer. The kernel goes back to what held before by itself at/)
      .waitFor();
    await page.getByRole("heading", { name: "The node does not answer" }).waitFor();
  });
});
