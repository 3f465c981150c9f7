/** A real Chromium that speaks to this machine only. Not in `index.ts`: only the console's tests need it. */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
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

export function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath, args });
}
