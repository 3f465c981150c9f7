/** Port scans, sweeps and floods among the flows that begin. */
import type { Clock } from "@x0tta6bl4/core";
import type { FlowEvent } from "../event.ts";
import type { Flow } from "../flow.ts";
import { flowFlag } from "../generated/layout.ts";
import { createScanDetector } from "../insight/scans.ts";
import { partiesOf } from "../parties.ts";
import { protocolNumbers } from "../protocols.ts";
import type { CaptureOptions } from "./contract.ts";
import type { InsightSums } from "./insight-sums.ts";
import { openedBySecond, protocolOf, u64, word } from "./table.ts";

export interface ScanWatch {
  /** A flow that begins, in its kernel form. */
  flow(keyWords: Uint32Array, keyAt: number, words: Uint32Array, flowAt: number): void;
  /** About once a second. */
  expire(): void;
}

export interface ScanWatchOptions extends Pick<CaptureOptions, "scanThreshold" | "floodThreshold"> {
  readonly seed: number;
  readonly clock: Clock;
  readonly sums: InsightSums;
  /** The active flow with this id, undefined where there is none. */
  readonly flowOfId: (id: number) => Flow | undefined;
  readonly emit: (event: FlowEvent) => void;
}

export function createScanWatch(options: ScanWatchOptions): ScanWatch {
  const { clock, sums, flowOfId, emit } = options;
  const scans = createScanDetector({
    ...options,
    onFinding({ scan, count, seconds, flowId }) {
      sums.scan(scan);
      const flow = flowOfId(flowId);
      if (flow === undefined) return;
      const time = new Date(clock.nowMs()).toISOString();
      emit({ kind: "scan", ...partiesOf(flow, time), scan, count, seconds });
    },
  });
  return {
    flow(keyWords, keyAt, words, flowAt) {
      const flags = words[flowAt + word.flags] as number;
      const protocol = protocolOf(keyWords[keyAt + word.kind] as number);
      const opener = openedBySecond(flags) ? 1 : 0;
      const hasPorts = protocol === protocolNumbers.tcp || protocol === protocolNumbers.udp;
      const ports = keyWords[keyAt + word.port] as number;
      scans.flow(
        keyWords,
        keyAt + 4 * opener,
        keyAt + 4 * (1 - opener),
        !hasPorts ? 0 : opener === 0 ? ports >>> 16 : ports & 0xffff,
        protocol,
        clock.nowMs(),
        // What has no SYN opens with its first packet.
        protocol !== protocolNumbers.tcp || (flags & flowFlag.openerGuessed) === 0,
        u64(words, flowAt + word.id),
      );
    },
    expire: () => scans.expire(clock.nowMs()),
  };
}
