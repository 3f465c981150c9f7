import { useEffect, useState } from "preact/hooks";

export type Theme = "dark" | "light";
const stored = "x0-theme";
const prefersLight = matchMedia("(prefers-color-scheme: light)");

function current(): Theme {
  const chosen = localStorage.getItem(stored);
  if (chosen === "dark" || chosen === "light") return chosen;
  return prefersLight.matches ? "light" : "dark";
}

export function applyTheme(): Theme {
  const theme = current();
  document.documentElement.dataset["theme"] = theme;
  return theme;
}

/** The theme of the system until one is chosen; choosing the system's own again follows the system. */
export function useTheme(): readonly [Theme, () => void] {
  const [theme, setTheme] = useState(applyTheme);
  useEffect(() => {
    const follow = (): void => setTheme(applyTheme());
    prefersLight.addEventListener("change", follow);
    return () => prefersLight.removeEventListener("change", follow);
  }, []);
  const flip = (): void => {
    const wanted = theme === "dark" ? "light" : "dark";
    if (wanted === (prefersLight.matches ? "light" : "dark")) localStorage.removeItem(stored);
    else localStorage.setItem(stored, wanted);
    setTheme(applyTheme());
  };
  return [theme, flip];
}
