/**
 * What a packet costs in the kernel. `ns_hot`: the shipped ingress program on one flow, by BPF_PROG_TEST_RUN.
 * `ns_100k_flows`: the shipped accounting code over 100,000 flows in random order, driven by a program that exists
 * for this alone; its loop without the accounting is subtracted.
 */
import { openLibc } from "@x0tta6bl4/flows";
import { KEY_WORDS, u64, word } from "../packages/flows/src/capture/table.ts";
import { testRun } from "../packages/flows/src/kernel/bpf.ts";
import {
  type FlowTableMaps,
  flowTableSizes,
  openKernelFlows,
  WHOLE_WORDS,
} from "../packages/flows/src/kernel/flow-table.ts";
import { loadObject } from "../packages/flows/src/kernel/load.ts";
import { shippedPrograms } from "../packages/flows/src/kernel/programs.ts";
import { benchMode, benchPrograms, benchRequest } from "../packages/flows/src/testing/bench-programs.ts";
import { ethernet, ipv4, tcp } from "../packages/flows/src/testing/frames.ts";
import type { Bench } from "./lib/bench.ts";
import { median, round } from "./lib/statistics.ts";

const FLOWS = 100_000;
/** The default's. */
const MOST_FLOWS = 131_072;

export const run: Bench = async ({ quick, seed, note }) => {
  const libc = openLibc();
  const rounds = quick ? 3 : 15;
  /** Gives the table its sizes; what it returns counts what is in it. */
  const tableOf = (maps: FlowTableMaps): (() => { flows: number; packets: number }) => {
    const kernel = openKernelFlows(libc, maps, MOST_FLOWS);
    const copied = new Uint32Array(WHOLE_WORDS);
    return () => {
      let flows = 0;
      let packets = 0;
      for (let element = kernel.reach() - 1; element >= 0; element--) {
        if (!kernel.copy(element, copied)) continue;
        flows++;
        for (const side of [0, 2]) packets += u64(copied, KEY_WORDS + word.packets + side);
      }
      return { flows, packets };
    };
  };

  const shipped = loadObject(libc, shippedPrograms(), { maxEntries: flowTableSizes(MOST_FLOWS) });
  const shippedTable = tableOf(shipped.maps);
  const addresses = { source: "10.0.0.1", destination: "10.0.0.2" };
  const frame = ethernet(
    ipv4(addresses, tcp({ sourcePort: 40_000, destinationPort: 443, flags: 0x10 }, new Uint8Array(64))),
  );
  const repeat = quick ? 100_000 : 1_000_000;
  const hot = Array.from(
    { length: rounds },
    () => testRun(libc, shipped.programs.x0_ingress, frame, { repeat }).durationNs,
  );
  const counted = shippedTable();
  if (counted.flows !== 1 || counted.packets !== rounds * repeat)
    throw new Error(
      `expected 1 flow of ${rounds * repeat} packets, found ${counted.flows} of ${counted.packets}`,
    );
  note(`one flow: ${Math.min(...hot)} to ${Math.max(...hot)} ns over ${rounds} runs of ${repeat} packets`);
  shipped.close();

  const bench = loadObject(libc, benchPrograms(), { maxEntries: flowTableSizes(MOST_FLOWS) });
  const benchTable = tableOf(bench.maps);
  const walk = (mode: number, count: number, start: number): number =>
    testRun(libc, bench.programs.x0_bench, benchRequest({ mode, rounds: count, flows: FLOWS, seed: start }))
      .durationNs;
  walk(benchMode.fresh, FLOWS, 0);
  const each = quick ? 100_000 : 1_000_000;
  const differences: number[] = [];
  for (let index = 0; index < rounds; index++) {
    const start = seed + 2 * index + 1;
    const full = walk(benchMode.account, each, start);
    differences.push((full - walk(benchMode.empty, each, start)) / each);
  }
  const spread = benchTable();
  if (spread.flows !== FLOWS || spread.packets !== FLOWS + rounds * each)
    throw new Error(
      `expected ${FLOWS} flows of ${FLOWS + rounds * each} packets, found ${spread.flows} of ${spread.packets}`,
    );
  note(`${FLOWS} flows: ${round(Math.min(...differences))} to ${round(Math.max(...differences))} ns`);
  bench.close();
  return { ns_hot: round(median(hot)), ns_100k_flows: round(median(differences)) };
};
