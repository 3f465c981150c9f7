/** Arrows walk through the lines of the page's tables, one after the other; Enter and Space open the line. */
import type { Keys } from "../keys.ts";

export function lineKeys(): Keys {
  const step = (by: number) => (): void => {
    const lines = [...document.querySelectorAll<HTMLElement>("tr[data-line]")];
    const at = lines.indexOf(document.activeElement as HTMLElement);
    const next = lines[at < 0 ? (by > 0 ? 0 : lines.length - 1) : at + by];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };
  return {
    ArrowDown: step(1),
    ArrowUp: step(-1),
    Enter: () => {
      const { activeElement } = document;
      if (activeElement instanceof HTMLElement && activeElement.matches("tr[data-line]"))
        activeElement.click();
    },
  };
}
