/** Brings the two flows of a translated connection together, whichever of flow and translation is heard of first. */
import { type TranslationWatch, watchTranslations } from "../conntrack/watch.ts";
import { type KernelFlows, WHOLE_WORDS } from "../kernel/flow-table.ts";
import type { Libc } from "../kernel/libc.ts";
import type { Joins } from "./joins.ts";
import type { KernelSide } from "./kernel-side.ts";
import { type FlowTable, KEY_WORDS } from "./table.ts";

/** Translated connections known at once; as many as the kernel tracks on a small host by default. */
const MOST_TRANSLATED = 65_536;

export interface Translation extends Pick<TranslationWatch, "poll" | "feature" | "close"> {
  /** A flow that is new in the table: joined here if its connection is known to be translated. */
  entered(slot: number, keyWords: Uint32Array, keyAt: number): void;
}

export interface TranslationOptions {
  readonly kernel: KernelSide;
  readonly flows: KernelFlows;
  readonly table: FlowTable;
  readonly joins: Joins;
  /** The flow that stands for the connection has become more. */
  readonly onJoined: (slot: number) => void;
}

export function createTranslation(libc: Libc, options: TranslationOptions): Translation {
  const { kernel, flows, table, joins, onJoined } = options;
  const copied = new Uint32Array(WHOLE_WORDS);

  /** The slot of a flow by its key, through the kernel's table; -1 where there is none. */
  const slotOfKey = (from: Uint32Array, at: number): number => {
    const element = flows.find(from, at);
    return element >= 0 && flows.copy(element, copied) ? table.slotOf(copied, KEY_WORDS) : -1;
  };
  /** @param pair in which the original key begins at `at`; slots are -1 where there is no flow. */
  const join = (original: number, translated: number, pair: Uint32Array, at: number): void => {
    if (original >= 0 && translated >= 0) joins.join(original, translated);
    else if (original >= 0) joins.note(original, pair, at + KEY_WORDS);
    else if (translated >= 0) joins.note(translated, pair, at);
    if (original >= 0) onJoined(original);
  };
  const watch = watchTranslations(libc, {
    namespaces: kernel.attachments.namespaces,
    max: MOST_TRANSLATED,
    onTranslated: ({ keys: pair }) => join(slotOfKey(pair, 0), slotOfKey(pair, KEY_WORDS), pair, 0),
  });
  const { translations } = watch;

  return {
    poll: watch.poll,
    feature: watch.feature,
    entered(slot, from, at) {
      const other = translations.find(from, at);
      if (other < 0) return;
      const there = slotOfKey(translations.keys, other);
      if (translations.isOriginal(other)) join(there, slot, translations.keys, other);
      else join(slot, there, translations.keys, other - KEY_WORDS);
    },
    close: watch.close,
  };
}
