import { useEffect, useRef } from "preact/hooks";
import { Badge } from "./icons.tsx";
import type { Health } from "./shapes.ts";
import { troubled } from "./states.tsx";

export type HelpKeys = readonly (readonly [key: string, meaning: string])[];

interface HelpProps {
  readonly keys: HelpKeys;
  /** What is done by other means. */
  readonly children?: preact.ComponentChildren;
  onClose(): void;
}

export function Help({ keys, children, onClose }: HelpProps) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="facts">
        {keys.map(([key, meaning]) => (
          <>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </>
        ))}
      </dl>
      {children !== undefined && <p class="s">{children}</p>}
    </Dialog>
  );
}

/** What the node does not do at the moment, why, and what turns it on. */
export function Features({ health, onClose }: { health: Health; onClose(): void }) {
  return (
    <Dialog title="Not fully on" onClose={onClose}>
      {troubled(health).map(({ part, feature }) => (
        <section key={`${part} ${feature.name}`}>
          <h3>
            <Badge mark={feature.state === "failed" ? "error" : feature.state === "off" ? "off" : "warning"}>
              {feature.state}
            </Badge>{" "}
            {part}: {feature.name}
          </h3>
          <p class="mid">{feature.reason}</p>
          {feature.hint !== undefined && <p class="note">{feature.hint}</p>}
        </section>
      ))}
    </Dialog>
  );
}

interface DialogProps {
  readonly title: string;
  readonly children: preact.ComponentChildren;
  onClose(): void;
}

export function Dialog({ title, children, onClose }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => element.current?.showModal(), []);
  return (
    <dialog class="dialog" ref={element} aria-label={title} onClose={onClose}>
      <header>
        <h2>{title}</h2>
        <button type="button" class="q" aria-label="Close" onClick={() => element.current?.close()}>
          ✕
        </button>
      </header>
      {children}
    </dialog>
  );
}
