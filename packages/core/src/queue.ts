/** A bounded first-in first-out queue read as an `AsyncIterable`; what does not fit is counted, never silent. */
export interface BoundedQueue<T> extends AsyncIterable<T> {
  /** @returns false if the queue is full or closed; the item is then counted in `dropped`. */
  push(item: T): boolean;
  /** Ends the iteration after what is already queued. Idempotent. */
  close(): void;
  readonly size: number;
  readonly dropped: number;
}

/**
 * @param capacity most items waiting; at least 1. One consumer at a time.
 * @throws RangeError
 */
export function boundedQueue<T>(capacity: number): BoundedQueue<T> {
  if (!(capacity >= 1)) throw new RangeError(`a queue's capacity is at least 1, not ${capacity}`);
  const items: T[] = [];
  let head = 0;
  let dropped = 0;
  let closed = false;
  let wake: (() => void) | undefined;
  const notify = (): void => {
    wake?.();
    wake = undefined;
  };
  return {
    push(item) {
      if (closed || items.length - head >= capacity) {
        dropped++;
        return false;
      }
      items.push(item);
      notify();
      return true;
    },
    close() {
      closed = true;
      notify();
    },
    get size() {
      return items.length - head;
    },
    get dropped() {
      return dropped;
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        while (head < items.length) {
          const item = items[head++] as T;
          // Shifting each time would be quadratic; compact once half of the array is spent. An empty queue
          // holds on to nothing.
          if (head === items.length || (head > 64 && head * 2 > items.length)) {
            items.splice(0, head);
            head = 0;
          }
          yield item;
        }
        if (closed) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
