/** What an event takes from its flow; apart from the schema of events, which the worker threads need not load. */
import type { EventParties } from "./event.ts";
import type { Flow } from "./flow.ts";

export function partiesOf(flow: Flow, time: string): EventParties {
  const { id, source, destination, protocol, netns, process } = flow;
  return { time, flow: id, source, destination, protocol, netns, process };
}
