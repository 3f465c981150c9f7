/**
 * Flows as a part of the node: one worker thread captures, another records, this side answers HTTP and feeds the
 * metrics. Where the kernel or the privileges do not allow it, the part is off and says why; the node runs on.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { MessageChannel } from "node:worker_threads";
import {
  type Channel,
  type Feature,
  type Health,
  messageOf,
  type Part,
  type PartContext,
  type PartDefinition,
  X0Error,
} from "@x0tta6bl4/core";
import type { CaptureContract, Totals } from "./capture/contract.ts";
import { captureOptions, type FlowsConfig, flowsConfigSchema } from "./config.ts";
import { flowsFail } from "./errors.ts";
import type { FlowList } from "./flow.ts";
import type { HistoryCalls } from "./history/contract.ts";
import { createFlowMetrics } from "./metrics.ts";
import { flowsCommands } from "./observe/command.ts";
import { packetCaptures } from "./packets/route.ts";
import { enforcementService, enforcementSettings } from "./policy/enforce/service.ts";
import { askRecorded, recordedTraffic } from "./policy/rehearse/service.ts";
import { missingPrivilege } from "./privilege.ts";
import { createRates } from "./rates.ts";
import type { RecordingContract } from "./recording/contract.ts";
import { flowRoutes } from "./routes.ts";
import { busiestTalkers } from "./talkers.ts";
import { startThread, type Thread } from "./thread.ts";

export const flowsPart: PartDefinition<FlowsConfig> = {
  name: "flows",
  summary: "Network flows of this machine, from the kernel",
  config: flowsConfigSchema,
  create: createFlowsPart,
  // Loaded when asked for: with it come the loader and all that it probes.
  async *doctor(config) {
    yield* (await import("./doctor.ts")).doctorEntries(config);
  },
  commands: flowsCommands,
};

const notStarted: Feature = { name: "packets", state: "off", reason: "flows have not started" };

interface Threads {
  readonly capture: Thread<CaptureContract>;
  readonly recording: Thread<RecordingContract>;
}

function createFlowsPart(context: PartContext<FlowsConfig>): Part {
  const { clock, config, dataDirectory, log, metrics, services } = context;
  const rates = createRates();
  const run = clock.nowMs();
  const figures = createFlowMetrics(metrics);
  let captureFeatures: readonly Feature[] = [];
  let recordingFeatures: readonly Feature[] = [];
  let threads: Threads | undefined;
  let isOpen = false;

  const turnOff = (feature: Feature): void => {
    captureFeatures = [feature];
    log.warn("flows are not observed", { reason: feature.reason, hint: feature.hint });
  };
  const take = (totals: Totals): void => {
    figures.take(totals);
    rates.take(totals);
  };
  const captured = (): Channel<CaptureContract> => {
    if (threads === undefined || !isOpen)
      throw flowsFail(
        "X0_FLOWS_OFF",
        `flows are not observed: ${captureFeatures[0]?.reason ?? "not started"}`,
        {
          hint: captureFeatures[0]?.hint ?? "x0 doctor",
        },
      );
    return threads.capture.channel;
  };
  const kept = (): HistoryCalls | undefined => {
    if (threads === undefined || !isOpen || !config.history) return undefined;
    const { channel } = threads.recording;
    return {
      flows: (query) => channel.call("flows", query),
      events: (query) => channel.call("events", query),
      summary: (query) => channel.call("summary", query),
    };
  };
  services.provide(enforcementService, {
    missing: () => (isOpen ? undefined : (captureFeatures[0] ?? notStarted)),
    swap: (request) => captured().call("swapPolicy", request),
    confirm: () => captured().call("confirmPolicy", undefined),
    revert: () => captured().call("revertPolicy", undefined),
    figures: () => captured().call("policyFigures", undefined),
    admit: (addresses) => captured().call("admitAddresses", addresses),
    admitted: (since) => captured().call("admittedAddresses", since),
  });
  services.provide(
    recordedTraffic,
    askRecorded(() => {
      captured();
      return (threads as Threads).recording.channel;
    }),
  );
  const packets = packetCaptures(async () => {
    const { attach, interfaces, excludeInterfaces, namespaces, excludeNamespaces } = captureOptions(config);
    const flows = await captured().call("maps", undefined);
    return { attach, interfaces, excludeInterfaces, namespaces, excludeNamespaces, flows };
  });
  const stop = async (deadlineMs: number): Promise<void> => {
    // It reads the maps that go with the capturing thread.
    await packets.stop();
    const running = threads;
    threads = undefined;
    isOpen = false;
    if (running === undefined) return;
    const deadline = performance.now() + deadlineMs;
    const left = (): number => Math.max(0, deadline - performance.now());
    // The capturing side hands over its last records, then the recording one writes them.
    await running.capture.stop(() => running.capture.channel.call("close", undefined), left() / 2);
    const forRecords = left();
    await running.recording.stop(() => running.recording.channel.call("close", forRecords), forRecords);
  };
  /** A thread that dies takes its half of the part with it; the other half and the node go on. */
  const watch = (channel: Channel<CaptureContract> | Channel<RecordingContract>, lost: () => void): void => {
    void channel.closed.then((error) => {
      if (threads === undefined) return;
      lost();
      log.error("a thread of flows ended", { error: error?.message });
    });
  };
  const failed = (name: string): Feature => ({
    name,
    state: "failed",
    reason: "its thread ended",
    hint: "start x0 up again; its log says why",
  });

  return {
    async start() {
      if (!config.enabled) {
        captureFeatures = [
          {
            name: "flows",
            state: "off",
            reason: "turned off by flows.enabled",
            hint: "set flows.enabled = true",
          },
        ];
        return;
      }
      const missing = missingPrivilege();
      if (missing !== undefined) return turnOff(missing);
      const { port1, port2 } = new MessageChannel();
      const started: Threads = {
        recording: startThread("recording/worker", "x0-records", port2),
        capture: startThread("capture/worker", "x0-flows", port1),
      };
      threads = started;
      const { channel } = started.capture;
      channel.on("totals", take);
      channel.on("features", (latest) => {
        captureFeatures = latest;
      });
      started.recording.channel.on("features", (latest) => {
        recordingFeatures = latest;
      });
      started.recording.channel.on("figures", figures.takeRecorded);
      try {
        const options = captureOptions(config, services.find(enforcementSettings)?.maxConnections);
        captureFeatures = await channel.call("open", options);
        isOpen = true;
      } catch (error) {
        await stop(1000);
        // A wrong setting is the operator's to mend; a missing kernel feature is not worth the whole node.
        if (!(error instanceof X0Error) || error.exit !== 3) throw error;
        turnOff({
          name: "packets",
          state: "off",
          reason: messageOf(error),
          ...(error.hint === undefined ? {} : { hint: error.hint }),
        });
        return;
      }
      watch(channel, () => {
        isOpen = false;
        captureFeatures = [failed("packets")];
      });
      watch(started.recording.channel, () => {
        recordingFeatures = [failed("records")];
      });
    },
    /** A history may be large and a disk slow: until here the capturing side keeps its records, within bounds. */
    async complete() {
      if (threads === undefined) return;
      const { channel } = threads.recording;
      const folder = join(dataDirectory, "flows");
      recordingFeatures = await channel.call("open", { config, folder, version: version(), startedMs: run });
    },
    stop,
    health(): Health {
      const features = [...captureFeatures, ...recordingFeatures];
      const states = features.map((feature) => feature.state);
      const worst =
        (["failed", "off", "degraded", "on"] as const).find((state) => states.includes(state)) ?? "off";
      // One feature that is off does not turn off the rest.
      return { state: worst === "off" && states.includes("on") ? "degraded" : worst, features };
    },
    async banner() {
      if (!isOpen) return [];
      const list: FlowList = await captured().call("list", { limit: 10_000 });
      return busiestTalkers(list.flows);
    },
    routes: [...flowRoutes({ captured, kept, run, rates }), packets.route],
  };
}

/** Of this package, which is the product's. */
function version(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
