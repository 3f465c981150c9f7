import { expect, test } from "vitest";
import type { UdpReceiverContract } from "./children/udp.ts";
import { type Place, run, start, startScript } from "./process.ts";

const inside = (name: string): Place => ({ enter: (command) => ["env", `TRAIL=${name}$TRAIL`, ...command] });

test("a command's output, input and failure come back", async () => {
  expect(await run(["cat"], { input: "given" })).toEqual({ stdout: "given", stderr: "" });
  await expect(run(["sh", "-c", "echo reason >&2; exit 3"])).rejects.toThrow(/exit 3: reason/);
  await expect(run(["no-such-program"])).rejects.toThrow(/ENOENT/);
  expect((await run(["printenv", "SAID"], { environment: { SAID: "yes" } })).stdout).toBe("yes\n");
});

test("places are entered from the first to the last", async () => {
  const { stdout } = await run(["printenv", "TRAIL"], { places: [inside("outer"), inside("inner")] });
  expect(stdout).toBe("inner$TRAIL\n");
});

test("start waits for what the process says, and fails when it ends without", async () => {
  await using talker = await start(["sh", "-c", "echo port 42; exec sleep 1000"], /port (\d+)/);
  expect(talker.ready[1]).toBe("42");
  expect(await talker.stop()).toBe("port 42\n");
  await expect(start(["echo", "other"], /port/)).rejects.toThrow(/ended without .*other/);
});

test("a script's failure or early end reaches its caller", async () => {
  const udp = new URL("./children/udp.ts", import.meta.url);
  const options = { role: "receiver" as const, port: 0, echo: false, expected: 1 };
  // 192.0.2.0/24 is for documentation (RFC 5737): no host has such an address.
  await expect(startScript<UdpReceiverContract>(udp, { ...options, host: "192.0.2.1" })).rejects.toThrow(
    /udp\.ts.*EADDRNOTAVAIL/,
  );
  await using script = await startScript<UdpReceiverContract>(udp, { ...options, host: "127.0.0.1" });
  process.kill(script.pid, "SIGTERM");
  await expect(script.result).rejects.toThrow(/ended early: SIGTERM/);
});
