/** The text that is rehearsed: kept in this tab until it is applied or cleared, so that a reload loses nothing. */
import { useEffect, useState } from "preact/hooks";
import { ApiError, postJson } from "../api.ts";
import type { Checked } from "./shapes.ts";

const stored = "x0-policy-draft";
/** As much as the language reads of one file; more is no document of a person. */
const longestDraft = 4 * 1024 * 1024;
/** After the last key. */
const settleMs = 250;

/** What the node's problems call it. */
export const draftName = "draft";

export function useDraft(): readonly [string, (text: string) => void] {
  const [text, setText] = useState(() => sessionStorage.getItem(stored) ?? "");
  const change = (next: string): void => {
    setText(next);
    keepDraft(next);
  };
  return [text, change];
}

export function keepDraft(text: string): void {
  try {
    if (text === "") sessionStorage.removeItem(stored);
    else sessionStorage.setItem(stored, text);
  } catch {
    // The browser's room for it is full: then a reload does lose it.
  }
}

/** What the node says of the text; undefined while it is asked, and of an empty one. */
export function useCheck(text: string): Checked | ApiError | undefined {
  const [answer, setAnswer] = useState<{ readonly text: string; readonly checked: Checked | ApiError }>();
  useEffect(() => {
    if (text.trim() === "") return;
    const abort = new AbortController();
    const files = [{ name: draftName, text }];
    const timer = setTimeout(() => {
      postJson<Checked>("/api/v1/policy/check", { files }, abort.signal).then(
        (checked) => setAnswer({ text, checked }),
        (error) => abort.signal.aborted || setAnswer({ text, checked: asApiError(error) }),
      );
    }, settleMs);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text]);
  return answer?.text === text && text.trim() !== "" ? answer.checked : undefined;
}

export function asApiError(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError(0, "", String(error));
}

/** Files as one text of several documents. @throws Error where they are too large */
export async function joined(files: readonly File[]): Promise<string> {
  const size = files.reduce((sum, file) => sum + file.size, 0);
  if (size > longestDraft) throw new Error(`${size} bytes are more than a policy has (${longestDraft})`);
  const texts = await Promise.all(files.map((file) => file.text()));
  return texts.map((text) => (text.endsWith("\n") ? text : `${text}\n`)).join("---\n");
}
