import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { formatAddress } from "../address.ts";
import { policyConfigSchema } from "./config.ts";
import { resolversOf } from "./resolvers.ts";

function resolvers(text: string | undefined, configured: string[] = []): string[] {
  const folder = mkdtempSync(join(tmpdir(), "x0-resolvers-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "resolv.conf");
  if (text !== undefined) writeFileSync(path, text);
  return resolversOf(policyConfigSchema.parse({ resolvers: configured }), path).map(formatAddress);
}

test("resolvers are those that are configured, else the system's", () => {
  const text = "# nameserver 192.0.2.1\nsearch example\nnameserver 10.0.0.53\nnameserver  fd00::53 # two\n";
  expect(resolvers(text)).toEqual(["10.0.0.53", "fd00::53"]);
  expect(resolvers(text, ["192.0.2.53"])).toEqual(["192.0.2.53"]);
  expect(resolvers("nameserver nowhere\n")).toEqual([]);
  expect(resolvers(undefined)).toEqual(["127.0.0.1"]);
});
