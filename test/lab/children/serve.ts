/** The script's side of `startScript`. It ends when its parent dies: the channel closes. */
import type { FromScript, ScriptContract, ToScript } from "../process.ts";

export interface Parent<C extends ScriptContract> {
  ready(value: C["ready"]): void;
  emit(event: C["event"]): void;
  on(listener: (order: C["order"]) => void): void;
  /** Settles when the parent asks for the end. */
  readonly finished: Promise<void>;
}

/** Runs `body` with the argument of `startScript`; what it returns is the script's result. */
export function serveScript<C extends ScriptContract>(
  body: (argument: C["argument"], parent: Parent<C>) => Promise<C["result"]>,
): void {
  const finish = Promise.withResolvers<void>();
  const listeners: ((order: C["order"]) => void)[] = [];
  const send = (message: FromScript<C>, then: () => void = () => {}): void => {
    process.send?.(message, undefined, undefined, then);
  };
  const parent: Parent<C> = {
    ready: (value) => send({ kind: "ready", value }),
    emit: (value) => send({ kind: "event", value }),
    on: (listener) => {
      listeners.push(listener);
    },
    finished: finish.promise,
  };
  process.on("disconnect", () => process.exit(1));
  process.on("message", (message: ToScript<C>) => {
    if (message.kind === "finish") finish.resolve();
    else if (message.kind === "order") for (const listener of listeners) listener(message.order);
    else
      body(message.argument, parent).then(
        (value) => send({ kind: "result", value }, () => process.exit(0)),
        (error: unknown) => send({ kind: "error", message: String(error) }, () => process.exit(1)),
      );
  });
}
