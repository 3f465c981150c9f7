/**
 * `npm run -s soak -- [--minutes N]`: an agent under steady loopback traffic that opens new flows all the time. Fails
 * if its memory or its open files still grow when everything has long been warm, or if it does not end as asked.
 * Prints a line a sample and, last, one JSON object.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startAgent } from "../bench/lib/agent.ts";
import { median, round } from "../bench/lib/statistics.ts";

const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" } } });
const durationMs = Number(values.minutes) * 60_000;
if (!(durationMs > 0)) throw new RangeError(`--minutes is a number above 0, not "${values.minutes}"`);

interface Sample {
  readonly residentMb: number;
  readonly openFiles: number;
}

/** Opens short TCP connections and sends datagrams from new ports until `signal` is aborted. @returns how many */
async function traffic(signal: AbortSignal): Promise<number> {
  const server = createServer((socket) => socket.on("error", () => undefined).pipe(socket)).listen(
    0,
    "127.0.0.1",
  );
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  let opened = 0;
  while (!signal.aborted) {
    const socket = connect(port, "127.0.0.1");
    socket.end("soak");
    socket.resume();
    const datagrams = createSocket("udp4");
    await Promise.all([
      once(socket, "close"),
      new Promise<void>((resolve) =>
        datagrams.send("soak", port, "127.0.0.1", () => datagrams.close(resolve)),
      ),
    ]);
    opened += 2;
    await sleep(5);
  }
  server.close();
  return opened;
}

async function sampleFor(durationMs: number, take: () => Sample): Promise<Sample[]> {
  const samples: Sample[] = [];
  const count = Math.max(12, Math.round(durationMs / 5000));
  for (let index = 1; index <= count; index++) {
    await sleep(durationMs / count);
    const sample = take();
    samples.push(sample);
    process.stdout.write(
      `${index}/${count}  ${sample.residentMb.toFixed(1)} MB  ${sample.openFiles} files\n`,
    );
  }
  return samples;
}

await using agent = await startAgent();
const end = new AbortController();
const sent = traffic(end.signal);
const samples = await sampleFor(durationMs, () => ({
  residentMb: agent.residentMb(),
  openFiles: agent.openFiles(),
}));
end.abort();
const flowsOpened = await sent;
const exit = await agent.stop();

// The first third warms up; then the last must not stand above the middle by more than what the collector's rhythm explains.
const third = Math.floor(samples.length / 3);
const [middle, last] = [samples.slice(third, 2 * third), samples.slice(2 * third)];
const growth = (of: (sample: Sample) => number): number => median(last.map(of)) / median(middle.map(of)) - 1;
const result = {
  flows: flowsOpened,
  rss_mb: round(median(last.map((sample) => sample.residentMb))),
  rss_growth: round(growth((sample) => sample.residentMb)),
  open_files_growth: round(growth((sample) => sample.openFiles)),
  exit,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
if (result.rss_growth > 0.1 || result.open_files_growth > 0.1 || exit !== 130) process.exitCode = 1;
