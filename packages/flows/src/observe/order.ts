import type { FlowChange } from "../flow.ts";

/**
 * Puts flows in the order of their start, in batches. Flows come as they end; one that comes after `window` others
 * that started later is out of order, so that memory stays bounded. A capture of fewer flows is in order throughout.
 */
export async function* inOrderOfStart(
  changes: AsyncIterable<FlowChange>,
  window: number,
): AsyncGenerator<FlowChange[]> {
  let held: FlowChange[] = [];
  const release = (count: number): FlowChange[] => {
    held.sort(byStart);
    const batch = held.slice(0, count);
    held = held.slice(count);
    return batch;
  };
  try {
    for await (const change of changes) {
      held.push(change);
      if (held.length === 2 * window) yield release(window);
    }
  } catch (error) {
    // What was readable is shown before the fault.
    if (held.length > 0) yield release(held.length);
    throw error;
  }
  if (held.length > 0) yield release(held.length);
}

/** The `count` flows that started last, in order of their start; then the fault of `changes`, if it has one. */
export async function* lastStarted(
  changes: AsyncIterable<FlowChange>,
  count: number,
): AsyncGenerator<FlowChange[]> {
  let held: FlowChange[] = [];
  let fault: { readonly error: unknown } | undefined;
  try {
    for await (const change of changes) {
      held.push(change);
      if (held.length >= 2 * count) held = held.sort(byStart).slice(-count);
    }
  } catch (error) {
    fault = { error };
  }
  held = held.sort(byStart).slice(-count);
  if (held.length > 0) yield held;
  if (fault !== undefined) throw fault.error;
}

/** Numbers are given in the order of first packets, which settles equal times. */
function byStart(a: FlowChange, b: FlowChange): number {
  return Date.parse(a.flow.start) - Date.parse(b.flow.start) || Number(a.flow.id) - Number(b.flow.id);
}
