/** One flow by its id, and what happened on it: asked of the node, then kept up to date by the live stream. */
import { useEffect, useState } from "preact/hooks";
import { ApiError, getJson } from "../api.ts";
import type { FlowsModel } from "../model.ts";
import type { DnsEvent, EventList, Flow, FlowEvent, FlowList } from "../shapes.ts";

/** The newest of a flow that has more: what a panel can still show. */
const mostEvents = 500;

/** `missing`: this node cannot be asked for that. */
export type Answer = "loading" | "here" | "missing" | ApiError;

export interface FlowDetail {
  readonly flow: Flow | undefined;
  /** Whether the flow itself has come; `here` without a flow means that the node does not know it. */
  readonly flowAnswer: Answer;
  readonly events: readonly FlowEvent[];
  readonly eventsAnswer: Answer;
  /** Answers of DNS that named the destination, the latest before the flow began, newest first. */
  readonly lookups: readonly DnsEvent[];
}

/** @param id undefined while no flow is open */
export function useFlowDetail(id: string | undefined, model: FlowsModel): FlowDetail {
  const listed = id === undefined ? undefined : model.rows.get(id)?.flow;
  const [asked, flowAnswer] = useAsked(id !== undefined && listed === undefined ? id : undefined, model);
  const [events, eventsAnswer] = useEvents(id, model);
  return {
    flow: listed ?? asked,
    flowAnswer: listed === undefined ? flowAnswer : "here",
    events,
    eventsAnswer,
    lookups: useLookups(listed ?? asked),
  };
}

/** A flow that the table does not hold: older, filtered out, or let go. Asked only once the table has its list. */
function useAsked(id: string | undefined, model: FlowsModel): readonly [Flow | undefined, Answer] {
  const [found, setFound] = useState<{ readonly id: string; readonly flow: Flow | undefined }>();
  const [answer, setAnswer] = useState<Answer>("loading");
  const ready = model.listed && model.trouble === undefined;
  useEffect(() => {
    if (id === undefined || !ready) return;
    const abort = new AbortController();
    setAnswer("loading");
    getJson<FlowList>(`/api/v1/flows?${new URLSearchParams({ id, limit: "1" })}`, abort.signal).then(
      ({ flows }) => {
        setFound({ id, flow: flows[0] });
        setAnswer("here");
      },
      (error) => abort.signal.aborted || setAnswer(answerOf(error)),
    );
    return () => abort.abort();
  }, [id, ready]);
  return [found?.id === id ? found?.flow : undefined, answer];
}

function useEvents(id: string | undefined, model: FlowsModel): readonly [readonly FlowEvent[], Answer] {
  const [events, setEvents] = useState<readonly FlowEvent[]>([]);
  const [answer, setAnswer] = useState<Answer>("loading");
  useEffect(() => {
    if (id === undefined) return;
    const abort = new AbortController();
    setEvents([]);
    setAnswer("loading");
    const stop = model.onInsight((event) => {
      if (event.flow === id) setEvents((old) => merged(old, [event]));
    });
    getJson<EventList>(`/api/v1/flows/events?${new URLSearchParams({ flow: id })}`, abort.signal).then(
      (list) => {
        setEvents((old) => merged(old, list.events));
        setAnswer("here");
      },
      (error) => abort.signal.aborted || setAnswer(answerOf(error)),
    );
    return () => {
      abort.abort();
      stop();
    };
  }, [id, model.health?.start]);
  return [events, answer];
}

/** As many as tell a name that hops between addresses from one that stays. */
const mostLookups = 3;

function useLookups(flow: Flow | undefined): readonly DnsEvent[] {
  const [found, setFound] = useState<{ readonly id: string; readonly events: readonly DnsEvent[] }>();
  const name = flow?.destination.name ?? undefined;
  useEffect(() => {
    if (flow === undefined || name === undefined) return;
    const abort = new AbortController();
    // The answer comes before the first packet, give or take a clock's tick.
    const until = new Date(Date.parse(flow.start) + 1000).toISOString();
    const query = new URLSearchParams({ kind: "dns", name, until, limit: String(mostLookups) });
    getJson<EventList>(`/api/v1/flows/events?${query}`, abort.signal).then(
      ({ events }) => setFound({ id: flow.id, events: events.filter((event) => event.kind === "dns") }),
      // That there is no record of events is said by the timeline.
      () => undefined,
    );
    return () => abort.abort();
  }, [flow?.id, name]);
  return found !== undefined && found.id === flow?.id ? found.events : [];
}

/** A node of an older version knows neither the route (404) nor the parameter (400). */
function answerOf(error: unknown): Answer {
  if (!(error instanceof ApiError)) return new ApiError(0, "", String(error));
  return error.status === 404 || error.status === 400 ? "missing" : error;
}

/** In the order of time, each once, however it came. */
export function merged(old: readonly FlowEvent[], more: readonly FlowEvent[]): readonly FlowEvent[] {
  const each = new Map([...old, ...more].map((event) => [JSON.stringify(event), event]));
  return [...each.values()].sort((a, b) => Date.parse(a.time) - Date.parse(b.time)).slice(-mostEvents);
}
