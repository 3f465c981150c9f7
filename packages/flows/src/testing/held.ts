/** A capture in a process of its own, to be killed: `held.ts NAMESPACE tcx|clsact` says "ready" and waits. */
import { observe } from "./observed.ts";

const [namespace, attach] = process.argv.slice(2);
if (namespace === undefined || (attach !== "tcx" && attach !== "clsact"))
  throw new Error("NAMESPACE tcx|clsact");
const observed = observe({ namespaces: [namespace], attach });
process.stdout.write("ready\n");
setInterval(() => observed.capture.read(), 1000);
