/** `FOLDER stepwise|freely`: applies for ever, to a kernel side that is in memory. */
import { systemClock } from "@x0tta6bl4/core";
import { applyForever, telling } from "./apply-forever.ts";
import { memoryEnforcement } from "./memory-enforcement.ts";

const [folder = "", how = ""] = process.argv.slice(2);
const steps = telling(how);
const enforcement = steps.told(memoryEnforcement(systemClock), "kernel");
await applyForever(steps, { folder, enforcement, pin: false });
