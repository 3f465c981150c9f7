/** What waits for its confirmation, above everything else: the time that is left, and the two ways out of it. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "../api.ts";
import { clock, clockLeft } from "../format.ts";
import { Badge } from "../icons.tsx";
import { visible } from "../visible.ts";
import type { Deadline } from "./model.ts";
import { plural } from "./words.tsx";

const tickMs = 200;
/** Names in the line; the rest is a number. */
const mostNamed = 3;

interface Props {
  readonly deadline: Deadline;
  /** The node does not answer: the kernel needs nobody to fall back. */
  readonly isCutOff: boolean;
  onSettle(verb: "confirm" | "revert"): Promise<void>;
}

export function Countdown({ deadline, isCutOff, onSettle }: Props) {
  const leftMs = useLeft(deadline.untilMs);
  const [pending, setPending] = useState(false);
  const [refused, setRefused] = useState<ApiError>();
  const { generation, documents, wholeMs } = deadline;
  const named = documents.slice(0, mostNamed).map((name) => visible(name));
  const more = documents.length - named.length;
  const settle = (verb: "confirm" | "revert") => (): void => {
    setPending(true);
    setRefused(undefined);
    onSettle(verb)
      .catch(setRefused)
      .finally(() => setPending(false));
  };
  const isOver = leftMs <= 0;
  return (
    <section class="countdown" aria-label="Waits for confirmation">
      <p class="left" role="timer" aria-label={`${Math.ceil(leftMs / 1000)} seconds left`}>
        {clockLeft(leftMs)}
      </p>
      <div class="what">
        <p role="status">
          <Badge mark="warning">
            {isOver
              ? `Generation ${generation} falls back`
              : `Generation ${generation} falls back unless you confirm`}
          </Badge>
        </p>
        <p class="s">
          {isCutOff
            ? `The node does not answer. The kernel goes back to what held before by itself at ${clock(deadline.untilMs)}.`
            : `At ${clock(deadline.untilMs)} the kernel goes back to what held before, by itself.`}{" "}
          <span class="x2">
            In force now: {named.length === 0 ? "no policy" : named.join(", ")}
            {more > 0 && ` and ${more} more ${plural(more, "document")}`}.
          </span>
        </p>
        {refused !== undefined && (
          <p class="note" role="alert">
            {visible(refused.message)}
          </p>
        )}
      </div>
      <button
        id="confirm"
        type="button"
        class="do"
        disabled={pending || isOver}
        title="Keep it (c, then Enter)"
        onClick={settle("confirm")}
      >
        confirm
      </button>
      <button
        type="button"
        disabled={pending || isOver}
        title="Go back now (x0 policy revert)"
        onClick={settle("revert")}
      >
        revert
      </button>
      <svg class="fuse" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
        <rect width={Math.max(0, Math.min(100, (leftMs / wholeMs) * 100))} height="1" />
      </svg>
    </section>
  );
}

function useLeft(untilMs: number): number {
  const [, tick] = useState(0);
  const timer = useRef<ReturnType<typeof setInterval>>(undefined);
  useEffect(() => {
    timer.current = setInterval(() => tick((n) => n + 1), tickMs);
    return () => clearInterval(timer.current);
  }, []);
  return Math.max(0, untilMs - Date.now());
}
