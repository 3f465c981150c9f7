import { buildCommand } from "@stricli/core";
import type { CliContext } from "@x0tta6bl4/core";
import { flowFilterFlags, integer, text } from "../observe/flags.ts";
import { packetLimits } from "./contract.ts";

export interface CaptureFlags {
  readonly protocol?: string;
  readonly ip?: string;
  readonly port?: number;
  readonly process?: string;
  readonly for: string;
  readonly snap: number;
  readonly "on-drop": boolean;
  readonly ring?: string;
  readonly write?: string;
}

export const captureCommand = buildCommand<CaptureFlags, [], CliContext>({
  docs: {
    brief: "Capture packets with their processes, as pcapng",
    fullDescription: `The agent takes each packet that matches all filters at each device that it observes, and this command writes
them as pcapng, to standard output or a file. A packet's comment tells the processes at its ends and the verdict.
With --ring only the newest packets are kept, in this command's memory, and written when it ends.
Packets that found no room are counted: in the file's interface statistics and on standard error.`,
  },
  parameters: {
    flags: {
      ...flowFilterFlags,
      for: {
        kind: "parsed",
        parse: String,
        default: "60s",
        brief: "How long, up to 24h",
        placeholder: "time",
      },
      snap: {
        kind: "parsed",
        parse: (input: string) => integer("snap", input, 64, packetLimits.snapBytes),
        default: "256",
        brief: "Bytes of each packet",
        placeholder: "bytes",
      },
      "on-drop": {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Only packets that the kernel drops, with its reason",
      },
      ring: text("Keep only the newest so many bytes: 100MB", "size"),
      write: text("Write this file instead of standard output", "file"),
    },
    aliases: { w: "write" },
  },
  loader: async () => (await import("./capture.ts")).capture,
});
