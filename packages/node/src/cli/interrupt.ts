/** Through npm one Ctrl-C arrives twice, about a millisecond apart; a person needs longer to press again. */
const sameInterruptMs = 500;

export interface Interrupt {
  /** Aborted by the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  /** Whether it was a signal that aborted, and not the end of the output's reader. */
  readonly interrupted: boolean;
  /** The reader of stdout went away (EPIPE): ends the command like a signal, but with success. */
  readerGone(): void;
}

/** @param force ends the process at once: called for a second, deliberate signal. */
export function onInterrupt(force: () => void): Interrupt {
  const controller = new AbortController();
  let firstMs: number | undefined;
  const handle = (): void => {
    const nowMs = performance.now();
    if (firstMs === undefined) {
      firstMs = nowMs;
      controller.abort();
    } else if (nowMs - firstMs > sameInterruptMs) force();
  };
  process.on("SIGINT", handle);
  process.on("SIGTERM", handle);
  return {
    signal: controller.signal,
    get interrupted() {
      return firstMs !== undefined;
    },
    readerGone: () => controller.abort(),
  };
}
