import { setImmediate } from "node:timers/promises";

/** How long a question may hold up the recording thread at once: records come in between. */
const SLICE_MS = 10;

/** Work over many blocks awaits the result behind each: it lets others have the thread once its slice is used up. */
export function pauses(nowMs: () => number = () => performance.now()): () => Promise<void> {
  let beganMs = nowMs();
  return async () => {
    if (nowMs() - beganMs <= SLICE_MS) return;
    await setImmediate();
    beganMs = nowMs();
  };
}
