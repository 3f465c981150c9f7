/** Bytes of most events: flows, and exchanges. */
const EVENT_BYTES = 160;

/**
 * How long the ring may wait after a drain of so many events. Each wake-up costs as much as dozens of events, so it
 * waits as long as people do not notice, unless more than a sixteenth of it was full: the default ring then has room
 * for a million events a second.
 */
export function pollDelayMs(events: number, ringBytes: number): number {
  return events * EVENT_BYTES > ringBytes / 16 ? 5 : 20;
}
