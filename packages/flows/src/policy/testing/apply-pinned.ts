/**
 * `FOLDER stepwise|freely CONNECTIONS`: applies for ever, pinned, to the kernel of its namespace. With room for another
 * number of connections its programs and maps are another set, as those of another version are.
 */
import { systemClock } from "@x0tta6bl4/core";
import { openCapture } from "../../capture/capture.ts";
import { attachType, command } from "../../kernel/bpf.ts";
import { type Libc, openLibc } from "../../kernel/libc.ts";
import { captureDefaults } from "../../testing/observed.ts";
import type { KernelEnforcement } from "../enforce/enforcement.ts";
import type { Enforcement } from "../enforce/service.ts";
import { applyForever, telling } from "./apply-forever.ts";

const [folder = "", how = "", connections = ""] = process.argv.slice(2);
/** Of an update: as connections are carried over. */
const NO_EXIST = 1;
const steps = telling(how);
const libc = openLibc();
let isOpen = false;

/**
 * What changes what is in force, or what outlives this process. Neither are maps that are made at the start, nor
 * connections that are carried over: their number would make each life another one.
 */
function stepOf(operation: number, attributes: Uint8Array): string | undefined {
  const view = new DataView(attributes.buffer, attributes.byteOffset);
  const type = view.getUint32(8, true);
  const isDevice = type === attachType.tcxIngress || type === attachType.tcxEgress;
  if (operation === command.linkCreate) return isDevice ? "attach" : undefined;
  if (operation === command.linkUpdate) return "replace";
  if (operation === command.objectPin) return "pin";
  if (!isOpen) return undefined;
  if (operation === command.mapCreate) return "table";
  if (operation === command.updateBatch) return "fill";
  if (operation === command.mapUpdate) return view.getUint32(24, true) === NO_EXIST ? undefined : "put";
  return operation === command.mapDelete ? "empty" : undefined;
}

const told: Libc = {
  ...libc,
  bpf(operation, attributes) {
    const step = stepOf(operation, attributes);
    if (step !== undefined) steps.tell(step);
    return libc.bpf(operation, attributes);
  },
};

function inThisThread(kernel: KernelEnforcement): Enforcement {
  return {
    missing: () => undefined,
    swap: async (request) => kernel.swap(request),
    confirm: async () => kernel.confirm(),
    revert: async () => kernel.revert(),
    figures: async () => kernel.figures(),
    admit: async (addresses) => kernel.admit(addresses),
    admitted: async (since) => kernel.admitted(since),
  };
}

const options = { ...captureDefaults, maxConnections: Number(connections) };
const capture = openCapture(told, options, systemClock, { changes() {}, events() {}, record() {} });
while (capture.tend());
isOpen = true;
await applyForever(steps, { folder, enforcement: inThisThread(capture.enforcement), pin: true });
