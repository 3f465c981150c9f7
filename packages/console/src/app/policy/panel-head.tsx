interface Props {
  readonly children: preact.ComponentChildren;
  onClose(): void;
}

/** What stands on top of whatever is open at the right. */
export function PanelHead({ children, onClose }: Props) {
  return (
    <div class="sec top">
      <h2>{children}</h2>
      <span>
        <kbd class="x2">Esc</kbd>
        <button type="button" class="q" title="Close (Esc)" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </span>
    </div>
  );
}
