interface Props {
  readonly label: string;
  /** What it does; the name that is read aloud. */
  readonly title: string;
  onClick(): void;
}

/** A word of a panel's head that does something. */
export function Tool({ label, title, onClick }: Props) {
  return (
    <button type="button" class="plain" title={title} aria-label={title} onClick={onClick}>
      {label}
    </button>
  );
}
