/**
 * A history in a process of its own, for `crash.test.ts` and `full-disk.test.ts`. Arguments: what to do, the folder,
 * a seed, seconds. `record` takes so many seconds of traffic and says each one; `fill` does so on a disk that is full
 * for a while, and says at its end, as one JSON object, what it saw.
 */
import { rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { flowQuerySchema } from "../../flow.ts";
import { simulated } from "./simulated.ts";

const [task = "", folder = "", seed = "", seconds = ""] = process.argv.slice(2);
const simulation = simulated(folder, { seed: Number(seed) });
const say = (line: string): void => void writeSync(1, `${line}\n`);

if (task === "record") {
  for (let second = 1; second <= Number(seconds); second++) {
    simulation.record(1);
    say(`${second}`);
  }
} else {
  const ballast = join(folder, "ballast");
  const states: string[] = [];
  const record = (count: number): void => {
    for (let second = 0; second < count; second++) {
      simulation.record(1);
      const [feature] = simulation.history.features();
      const text = `${feature?.state} ${feature?.reason?.replace(/; \d+ records lost/, "") ?? ""}`;
      if (states.at(-1) !== text) states.push(text);
    }
  };
  record(20);
  const fullFrom = simulation.traffic.nowMs;
  // Fills what is left, a piece at a time, since a file that does not fit is cut.
  for (let piece = 0; piece < 2000; piece++)
    try {
      writeFileSync(`${ballast}.${piece}`, new Uint8Array(16_384));
    } catch {
      break;
    }
  // More than waits in memory, so that some must be refused.
  record(Number(seconds));
  const whileFull = await simulation.read({ until: new Date(fullFrom).toISOString() });
  for (let piece = 0; piece < 2000; piece++) rmSync(`${ballast}.${piece}`, { force: true });
  // By the next time that it writes.
  const resumedBy = simulation.traffic.nowMs + 4000;
  record(40);
  const { covers } = await simulation.history.flows(flowQuerySchema.parse({}));
  const answered = await simulation.read();
  const known = new Map(simulation.wanted().map((flow) => [flow.id, flow]));
  const iso = (ms: number): string => new Date(ms).toISOString();
  const since = { since: iso(resumedBy) };
  const began = <T extends { start: string }>(flows: T[]): T[] =>
    flows.filter(({ start }) => start > since.since);
  say(
    JSON.stringify({
      states,
      covers,
      fullFrom: iso(fullFrom),
      resumedBy: iso(resumedBy),
      figures: simulation.history.samples().map(({ metric, value }) => [metric.name, value]),
      answered: answered.length,
      distinct: new Set(answered.map(({ id }) => id)).size,
      invented: answered.filter(({ id }) => !known.has(id)).length,
      missing: known.size - answered.length,
      missingBefore: simulation.wanted({ until: iso(fullFrom) }).length - whileFull.length,
      missingAfter: began(simulation.wanted()).length - began(answered).length,
    }),
  );
  await simulation.history.close(1000);
}
