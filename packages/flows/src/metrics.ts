import type { MetricDefinition, Metrics } from "@x0tta6bl4/core";
import { flowsMetrics } from "@x0tta6bl4/telemetry";
import type { Totals } from "./capture/contract.ts";
import type { RecordingContract } from "./recording/contract.ts";

/** Hands the capturing side's sums to the metrics. */
export interface FlowMetrics {
  take(totals: Totals): void;
  /** What the recording thread counted. */
  takeRecorded(figures: RecordingContract["events"]["figures"]): void;
}

export function createFlowMetrics(metrics: Metrics): FlowMetrics {
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
  const takeInsight = insightMetrics(metrics);
  const recorded = byName(metrics);
  return {
    takeRecorded({ samples, observations }) {
      for (const { metric, labels, value } of observations) recorded.histogram(metric).observe(labels, value);
      for (const { metric, labels, value } of samples) {
        if (metric.type === "gauge") recorded.gauge(metric).set(labels, value);
        else recorded.counter(metric).setTotal(labels, value);
      }
    },
    take(totals) {
      takeInsight(totals);
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

function insightMetrics(metrics: Metrics): (totals: Totals) => void {
  const dropped = metrics.counter(flowsMetrics.droppedPackets);
  const connect = metrics.histogram(flowsMetrics.connectSeconds);
  const retransmits = metrics.counter(flowsMetrics.retransmits);
  const dns = metrics.counter(flowsMetrics.dnsQueries);
  const dnsSeconds = metrics.histogram(flowsMetrics.dnsSeconds);
  const requests = metrics.counter(flowsMetrics.requests);
  const requestSeconds = metrics.histogram(flowsMetrics.requestSeconds);
  const unread = metrics.counter(flowsMetrics.unread);
  const scans = metrics.counter(flowsMetrics.scans);
  const skipped = metrics.counter(flowsMetrics.skipped);
  const forgotten = metrics.counter(flowsMetrics.forgottenEvents);
  const unrecorded = metrics.counter(flowsMetrics.unrecorded);
  return ({ insight, unrecorded: leftOut }) => {
    for (const [reason, packets] of insight.drops) dropped.setTotal({ reason }, packets);
    connect.setTotals({}, insight.connects.counts, insight.connects.sum);
    retransmits.setTotal({}, insight.retransmits);
    for (const [rcode, count] of insight.dns) dns.setTotal({ rcode }, count);
    dnsSeconds.setTotals({}, insight.dnsLatency.counts, insight.dnsLatency.sum);
    for (const [application, outcome, count] of insight.requests)
      requests.setTotal({ application, outcome }, count);
    for (const [application, { counts, sum }] of insight.requestLatency)
      requestSeconds.setTotals({ application }, counts, sum);
    for (const [application, count] of insight.unread) unread.setTotal({ application }, count);
    for (const [scan, count] of insight.scans) scans.setTotal({ scan }, count);
    skipped.setTotal({}, insight.skipped);
    forgotten.setTotal({}, insight.forgottenEvents);
    unrecorded.setTotal({}, leftOut);
  };
}

/** Definitions that come from another thread are copies: the first of each name stands for all. */
function byName(metrics: Metrics): Metrics {
  const definitions = new Map<string, MetricDefinition>();
  const first = (definition: MetricDefinition): MetricDefinition => {
    const known = definitions.get(definition.name) ?? definition;
    definitions.set(definition.name, known);
    return known;
  };
  return {
    counter: (definition) => metrics.counter(first(definition)),
    gauge: (definition) => metrics.gauge(first(definition)),
    histogram: (definition) => metrics.histogram(first(definition)),
  };
}
