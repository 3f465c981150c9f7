import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { type Flow, flowQuerySchema } from "../flow.ts";
import { simulated, startMs } from "./testing/simulated.ts";

const recorder = fileURLToPath(new URL("./testing/recorder.ts", import.meta.url));
const flushMs = 3000;

test.each([1, 2, 3])(
  "after SIGKILL at most the last seconds are lost, and it is said (seed %i)",
  async (seed) => {
    const folder = mkdtempSync(join(tmpdir(), "x0-crash-"));
    const child = spawn(process.execPath, [recorder, "record", folder, String(seed), "100000"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exit = once(child, "exit");
    let second = 0;
    for await (const line of createInterface(child.stdout)) {
      second = Number(line);
      // Somewhere in the middle of what it does then.
      if (second === 40 + 7 * seed) child.kill("SIGKILL");
    }
    await exit;

    const killedMs = startMs + second * 1000;
    const until = simulated(mkdtempSync(join(tmpdir(), "x0-crash-")), { seed });
    until.record(second);
    const next = simulated(folder, { seed, options: { run: killedMs + 60_000 } });
    const answered = await next.read();
    const found = new Map(answered.map((flow) => [flow.id, flow]));
    expect(found.size).toBe(answered.length);

    // Nothing is invented: each flow is as some record of it said, but that it has ended.
    for (const flow of answered) {
      const latest = until.expected.get(flow.id) as Flow;
      expect(flow.state).toBe("ended");
      expect({ ...latest, ...same, state: "ended" }).toEqual({ ...flow, ...same });
      if (latest.state === "ended" && Date.parse(latest.end) < killedMs - 2 * flushMs)
        expect(flow).toEqual(latest);
    }
    // What was known a few seconds before is there, ended or not.
    const missing = [...until.expected.values()].filter(({ id }) => !found.has(id));
    for (const flow of missing)
      expect(Date.parse(flow.state === "ended" ? flow.end : flow.start)).toBeGreaterThan(
        killedMs - 3 * flushMs,
      );
    const open = [...until.expected.values()].filter(({ state }) => state === "active");
    expect(open.filter(({ id }) => found.has(id)).length).toBeGreaterThan(5);

    const { covers } = await next.history.flows(flowQuerySchema.parse({}));
    expect(Date.parse(covers.to)).toBeLessThanOrEqual(killedMs);
    expect(Date.parse(covers.to)).toBeGreaterThan(killedMs - 2 * flushMs);
    next.record(10);
    await next.history.close(1000);
    await until.history.close(1000);
    rmSync(folder, { recursive: true });
  },
);

/** What later records of a flow may change. */
const same = {
  end: "",
  bytes: {},
  packets: {},
  tcpFlags: [],
  process: null,
};
