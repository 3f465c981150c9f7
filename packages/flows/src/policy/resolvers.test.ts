import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { formatAddress } from "../address.ts";
import { policyConfigSchema } from "./config.ts";
import { resolversOf } from "./resolvers.ts";

function resolvers(text: string | undefined, configured: string[] = [], behind?: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), "x0-resolvers-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const from = { system: join(folder, "resolv.conf"), upstream: join(folder, "upstream.conf") };
  if (text !== undefined) writeFileSync(from.system, text);
  if (behind !== undefined) writeFileSync(from.upstream, behind);
  return resolversOf(policyConfigSchema.parse({ resolvers: configured }), from).map(formatAddress);
}

test("resolvers are those that are configured, else the system's", () => {
  const text = "# nameserver 192.0.2.1\nsearch example\nnameserver 10.0.0.53\nnameserver  fd00::53 # two\n";
  expect(resolvers(text)).toEqual(["10.0.0.53", "fd00::53"]);
  expect(resolvers(text, ["192.0.2.53"])).toEqual(["192.0.2.53"]);
  expect(resolvers("nameserver nowhere\n")).toEqual([]);
  expect(resolvers(undefined)).toEqual(["127.0.0.1"]);
});

test("behind the stub of systemd-resolved are the servers that it asks", () => {
  const stub = "nameserver 127.0.0.53\noptions edns0\n";
  const upstream = "nameserver 10.0.0.53\nnameserver 10.0.0.54\n";
  expect(resolvers(stub, [], upstream)).toEqual(["127.0.0.53", "10.0.0.53", "10.0.0.54"]);
  expect(resolvers(stub)).toEqual(["127.0.0.53"]);
  expect(resolvers("nameserver 10.0.0.1\n", [], upstream)).toEqual(["10.0.0.1"]);
  expect(resolvers(stub, ["127.0.0.53"], upstream)).toEqual(["127.0.0.53"]);
});
