import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** When what a start leaves behind is garbage: modules are parsed, schemas built, programs loaded. */
const SETTLED_MS = 3000;

/**
 * Some seconds from now collects this thread's garbage once and gives the pages back: a thread that starts leaves up to
 * 10 MB, which V8, seeing no need, would keep for good. It pauses the thread for some 60 ms.
 */
export function compactHeapSoon(): void {
  setTimeout(() => {
    // The collector can be called by name only with this flag, and only in a context made after it.
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as (options: object) => void;
    collect({ type: "major", execution: "sync", flavor: "last-resort" });
  }, SETTLED_MS).unref();
}
