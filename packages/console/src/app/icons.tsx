/** The marks that go before a word: shape tells what colour tells, for eyes that do not see the colour. */
const shapes = {
  ok: <circle cx="5" cy="5" r="3" stroke="none" />,
  off: <circle cx="5" cy="5" r="3.5" fill="none" stroke-width="1.2" stroke-dasharray="2 1.6" />,
  error: <path fill="none" stroke-width="2" d="M1.5 1.5l7 7M8.5 1.5l-7 7" />,
  warning: <path stroke="none" d="M5 0l5 10H0z" />,
  dropped: <path fill="none" stroke-width="1.6" d="M1.2 1.5h7.6L5 8.5z" />,
  denied: <path stroke="none" fill-rule="evenodd" d="M0 0h10v10H0zM2.2 4v2h5.6V4z" />,
  audit: <path fill="none" stroke-width="1.6" stroke-dasharray="2.2 1.4" d="M1 1h8v8H1z" />,
  none: <path stroke="none" d="M1 4h8v2H1z" />,
};

export type Mark = keyof typeof shapes;

const classes: Readonly<Record<Mark, string>> = {
  ok: "ok",
  off: "un",
  error: "er",
  warning: "wa",
  dropped: "dr",
  denied: "de",
  audit: "au",
  none: "no",
};

export function Badge({ mark, children }: { mark: Mark; children: preact.ComponentChildren }) {
  return (
    <span class={`v ${classes[mark]}`}>
      <svg viewBox="0 0 10 10" aria-hidden="true">
        {shapes[mark]}
      </svg>
      {children}
    </span>
  );
}
