/**
 * Flows as a part of the node: a worker thread captures, this side answers HTTP and feeds the metrics. Where
 * the kernel or the privileges do not allow it, the part is off and says why; the node runs on.
 */
import { Worker } from "node:worker_threads";
import {
  type Channel,
  type Feature,
  type Health,
  openChannel,
  type Part,
  type PartContext,
  type PartDefinition,
  siblingModule,
  X0Error,
} from "@x0tta6bl4/core";
import type { CaptureContract, Totals } from "./capture/contract.ts";
import { captureOptions, type FlowsConfig, flowsConfigSchema } from "./config.ts";
import { doctorEntries } from "./doctor.ts";
import { flowsFail } from "./errors.ts";
import type { FlowList } from "./flow.ts";
import { createFlowMetrics } from "./metrics.ts";
import { flowsCommands } from "./observe/command.ts";
import { missingPrivilege } from "./privilege.ts";
import { createHistory } from "./rates.ts";
import { flowRoutes } from "./routes.ts";
import { busiestTalkers } from "./talkers.ts";

export const flowsPart: PartDefinition<FlowsConfig> = {
  name: "flows",
  summary: "Network flows of this machine, from the kernel",
  config: flowsConfigSchema,
  create: createFlowsPart,
  doctor: doctorEntries,
  commands: flowsCommands,
};

function createFlowsPart({ config, log, metrics }: PartContext<FlowsConfig>): Part {
  const history = createHistory();
  const figures = createFlowMetrics(metrics);
  let features: readonly Feature[] = [];
  let worker: Worker | undefined;
  let channel: Channel<CaptureContract> | undefined;

  const turnOff = (feature: Feature): void => {
    features = [feature];
    log.warn("flows are not observed", { reason: feature.reason, hint: feature.hint });
  };
  const take = (totals: Totals): void => {
    figures.take(totals);
    history.take(totals);
  };
  const captured = (): Channel<CaptureContract> => {
    if (channel === undefined)
      throw flowsFail("X0_FLOWS_OFF", `flows are not observed: ${features[0]?.reason ?? "not started"}`, {
        hint: features[0]?.hint ?? "x0 doctor",
      });
    return channel;
  };

  return {
    async start() {
      if (!config.enabled) {
        features = [
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
      const thread = new Worker(siblingModule("capture/worker", import.meta.url), {
        name: "x0-flows",
        // It keeps flows off the heap; a small nursery saves 10 MB of resident memory.
        resourceLimits: { maxYoungGenerationSizeMb: 4 },
      });
      const opened = openChannel<CaptureContract>(thread);
      worker = thread;
      opened.on("totals", take);
      opened.on("features", (latest) => {
        features = latest;
      });
      try {
        features = await opened.call("open", captureOptions(config));
        channel = opened;
      } catch (error) {
        await thread.terminate();
        worker = undefined;
        // A wrong setting is the operator's to mend; a missing kernel feature is not worth the whole node.
        if (!(error instanceof X0Error) || error.exit !== 3) throw error;
        turnOff({
          name: "packets",
          state: "off",
          reason: error.message,
          ...(error.hint === undefined ? {} : { hint: error.hint }),
        });
        return;
      }
      void opened.closed.then((error) => {
        if (worker === undefined) return;
        channel = undefined;
        features = [
          {
            name: "packets",
            state: "failed",
            reason: `the capturing thread ended: ${error?.message ?? "no error"}`,
            hint: "start x0 up again",
          },
        ];
        log.error("the capturing thread ended", { error: error?.message });
      });
    },
    async stop(deadlineMs) {
      const thread = worker;
      const open = channel;
      worker = undefined;
      channel = undefined;
      if (thread === undefined) return;
      const late = new Promise<void>((resolve) => setTimeout(resolve, deadlineMs).unref());
      if (open !== undefined) await Promise.race([open.call("close", undefined), late]);
      // Closing the thread closes what is still open: all links go with their descriptors.
      await thread.terminate();
    },
    health(): Health {
      const states = features.map((feature) => feature.state);
      const worst =
        (["failed", "off", "degraded", "on"] as const).find((state) => states.includes(state)) ?? "off";
      // One feature that is off does not turn off the rest.
      return { state: worst === "off" && states.includes("on") ? "degraded" : worst, features };
    },
    async banner() {
      if (channel === undefined) return [];
      const list: FlowList = await channel.call("list", { limit: 10_000 });
      return busiestTalkers(list.flows);
    },
    routes: flowRoutes({ captured, history }),
  };
}
