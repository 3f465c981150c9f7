import { useEffect, useState } from "preact/hooks";

/** The clipboard needs a secure origin; elsewhere the text is selected for the reader's own copy key. */
async function copy(text: string, element: HTMLElement): Promise<string> {
  if (navigator.clipboard !== undefined) {
    await navigator.clipboard.writeText(text);
    return "copied";
  }
  getSelection()?.selectAllChildren(element);
  return "selected";
}

interface Props {
  /** What is copied; the content where not given otherwise. */
  readonly text: string;
  readonly class?: string;
  readonly title?: string;
  readonly children?: preact.ComponentChildren;
}

/** A value that a click copies. */
export function Copy({ text, class: name = "copy", title = "Copy", children = text }: Props) {
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (said === "") return;
    const timer = setTimeout(() => setSaid(""), 1200);
    return () => clearTimeout(timer);
  }, [said]);
  const click = (event: MouseEvent): void => {
    copy(text, event.currentTarget as HTMLElement).then(setSaid, () => setSaid("not permitted"));
  };
  return (
    <button type="button" class={name} title={title} onClick={click}>
      {children}
      <span class="said" role="status">
        {said}
      </span>
    </button>
  );
}
