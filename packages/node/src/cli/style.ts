import type { State } from "@x0tta6bl4/core";

export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  state(state: State, text: string): string;
}

/** ECMA-48 colours, or the text as it is. */
export function style(color: boolean): Style {
  const wrap = (code: number) => (text: string) => (color ? `\x1b[${code}m${text}\x1b[0m` : text);
  const ofState: Readonly<Record<State, (text: string) => string>> = {
    on: wrap(32),
    degraded: wrap(33),
    off: wrap(2),
    failed: wrap(31),
  };
  return { bold: wrap(1), dim: wrap(2), state: (state, text) => ofState[state](text) };
}
