import type { Metrics } from "@x0tta6bl4/core";
import { flowsMetrics } from "@x0tta6bl4/telemetry";
import type { Totals } from "./capture/contract.ts";

/** Hands the capturing side's sums to the metrics. */
export function createFlowMetrics(metrics: Metrics): { take(totals: Totals): void } {
  const flows = metrics.counter(flowsMetrics.flows);
  const packets = metrics.counter(flowsMetrics.packets);
  const bytes = metrics.counter(flowsMetrics.bytes);
  const active = metrics.gauge(flowsMetrics.active);
  const ringLost = metrics.counter(flowsMetrics.ringLost);
  const lostPackets = metrics.counter(flowsMetrics.lostPackets);
  const lostBytes = metrics.counter(flowsMetrics.lostBytes);
  const insertFailures = metrics.counter(flowsMetrics.insertFailures);
  const notIp = metrics.counter(flowsMetrics.notIp);
  const malformed = metrics.counter(flowsMetrics.malformed);
  const programEvents = metrics.counter(flowsMetrics.programEvents);
  const programLost = metrics.counter(flowsMetrics.programLost);
  const programRunSeconds = metrics.counter(flowsMetrics.programRunSeconds);
  return {
    take(totals) {
      for (const { direction, protocol, place, ...sums } of totals.traffic) {
        const labels = { direction, protocol, place };
        flows.setTotal(labels, sums.flows);
        packets.setTotal(labels, sums.packets);
        bytes.setTotal(labels, sums.bytes);
      }
      active.set({}, totals.active);
      ringLost.setTotal({}, totals.lost.events);
      lostPackets.setTotal({}, totals.lost.packets);
      lostBytes.setTotal({}, totals.lost.bytes);
      insertFailures.setTotal({}, totals.lost.uncounted);
      notIp.setTotal({}, totals.notIp);
      malformed.setTotal({}, totals.malformed);
      for (const program of totals.programs) {
        programEvents.setTotal({ program: program.name }, program.events);
        programLost.setTotal({ program: program.name }, program.lost);
        if (program.runSeconds !== undefined)
          programRunSeconds.setTotal({ program: program.name }, program.runSeconds);
      }
    },
  };
}
