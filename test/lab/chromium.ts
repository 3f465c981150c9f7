/** A real Chromium that speaks to this machine only. Not in `index.ts`: only the console's tests need it. */
import { existsSync, rmSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type Cookie, chromium, type Page } from "playwright-core";
import type { Place } from "./process.ts";
import { missingKernel } from "./requirements.ts";

const executablePath = "/usr/bin/chromium";

/** Nothing that leaves this machine, and no sandbox inside the sandboxes that tests run in. */
const args = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // A name that an attacker has turned to this machine, as by DNS rebinding.
  "--host-resolver-rules=MAP rebound.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/** What a test of the console lacks here, said once on stderr; undefined where it can run. */
export async function missingForConsole(name: string): Promise<string | undefined> {
  const lack = existsSync(executablePath)
    ? await missingKernel("bpf", "btf", "tcx")
    : `needs Chromium (${executablePath})`;
  if (lack !== undefined) process.stderr.write(`skipped: ${name}: ${lack}\n`);
  return lack;
}

/** @param place where it runs: a namespace whose loopback an agent listens on. */
export async function launchChromium(place?: Place): Promise<Browser> {
  if (place === undefined) return chromium.launch({ executablePath, args });
  const folder = await mkdtemp(join(tmpdir(), "x0-chromium-"));
  const command = join(folder, "chromium");
  // Playwright gives arguments only behind the program that it starts.
  await writeFile(command, `#!/bin/sh\nexec ${place.enter([executablePath]).join(" ")} "$@"\n`, {
    mode: 0o755,
  });
  const browser = await chromium.launch({ executablePath: command, args });
  browser.on("disconnected", () => rmSync(folder, { recursive: true, force: true }));
  return browser;
}

/**
 * Opens pages of an agent's console. The first visit carries the token, which the agent turns into a cookie of its own;
 * later ones, of whatever context, take that over and so load one page instead of two.
 */
export function entrance(): (page: Page, url: URL | string, path: string) => Promise<void> {
  const known = new Map<string, Cookie[]>();
  return async (page, url, path) => {
    const { href, origin } = new URL(url);
    const cookies = known.get(origin);
    if (cookies === undefined) {
      await page.goto(href);
      known.set(origin, await page.context().cookies());
    } else await page.context().addCookies(cookies);
    await page.goto(new URL(path, origin).href);
  };
}
