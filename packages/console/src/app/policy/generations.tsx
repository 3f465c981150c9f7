/** What was applied, kept and taken back, newest first. */
import { absolute, clock, duration } from "../format.ts";
import { Badge, type Mark } from "../icons.tsx";
import type { Generation } from "./shapes.ts";

/** Older ones are in `GET /api/v1/policy/generations`. */
const mostLines = 20;

const words: Readonly<Record<Generation["state"], readonly [mark: Mark, word: string]>> = {
  prepared: ["off", "prepared"],
  unconfirmed: ["warning", "waits"],
  confirmed: ["ok", "confirmed"],
  reverted: ["none", "taken back"],
};

export function Generations({ generations }: { generations: readonly Generation[] }) {
  return (
    <section class="panel" aria-label="Generations">
      <header>
        <h2>Generations</h2>
        <span class="s">newest first</span>
      </header>
      <div class="grid-scroll">
        <ol class="generations">
          {generations.slice(0, mostLines).map(({ generation, state, applied, settled }) => {
            const [mark, word] = words[state];
            const appliedMs = Date.parse(applied);
            const heldMs = settled === null ? 0 : Date.parse(settled) - appliedMs;
            return (
              <li key={generation}>
                <time class="dim" title={absolute(appliedMs)}>
                  {clock(appliedMs)}
                </time>
                <Badge mark={mark}>{word}</Badge>
                <span>
                  generation {generation}
                  {heldMs >= 1000 && (
                    <span class="dim"> after {duration(Math.round(heldMs / 1000) * 1000)}</span>
                  )}
                </span>
              </li>
            );
          })}
        </ol>
      </div>
    </section>
  );
}
