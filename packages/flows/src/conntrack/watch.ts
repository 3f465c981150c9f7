/** Translated connections of all observed namespaces, in one table. Polled by the capturing thread. */
import { type Feature, messageOf, X0Error } from "@x0tta6bl4/core";
import type { Libc } from "../kernel/libc.ts";
import type { NetworkNamespace } from "../kernel/namespaces.ts";
import {
  type Conntrack,
  type ConntrackOutput,
  hasConntrack,
  openConntrack,
  type TranslatedConnection,
} from "./conntrack.ts";
import { createTranslations, type Translations } from "./translations.ts";

/** Connection tracking may come to a host while it runs: with its first rule of nftables. */
const LOOK_AGAIN_MS = 5000;

export interface ObservedNamespace {
  /** Our number of it, which flow keys carry. */
  readonly number: number;
  readonly namespace: NetworkNamespace;
}

export interface TranslationWatch {
  readonly translations: Translations;
  /** News that found no room since the start. */
  readonly lost: number;
  /** Takes what has come; bounded, waits for nothing. */
  poll(nowMs: number): void;
  feature(): Feature;
  close(): void;
}

export interface TranslationWatchOptions {
  /** The namespaces that are observed now. */
  readonly namespaces: () => readonly ObservedNamespace[];
  /** Most translated connections that are known at once. */
  readonly max: number;
  /** A connection was translated, or has been since before the start; valid during the call only. */
  readonly onTranslated?: (connection: TranslatedConnection) => void;
}

export function watchTranslations(libc: Libc, options: TranslationWatchOptions): TranslationWatch {
  const translations = createTranslations({ max: options.max });
  const open = new Map<number, Conntrack>();
  let lookedMs = Number.NEGATIVE_INFINITY;
  let nowMs = 0;
  let refusal: unknown;
  let lostBefore = 0;

  const output: ConntrackOutput = {
    translated(connection) {
      translations.add(connection.keys);
      options.onTranslated?.(connection);
    },
    destroyed: ({ keys }) => translations.end(keys, nowMs),
    restating: (netns) => translations.beginRestating(netns),
    restated: (netns) => translations.endRestating(netns, nowMs),
  };

  const look = (): void => {
    const observed = options.namespaces();
    for (const [number, conntrack] of open) {
      if (observed.some((one) => one.number === number)) continue;
      lostBefore += conntrack.lost;
      conntrack.close();
      open.delete(number);
    }
    refusal = undefined;
    for (const { number, namespace } of observed) {
      if (open.has(number)) continue;
      try {
        const opened = namespace.run(() =>
          hasConntrack() ? openConntrack(libc, number, output) : undefined,
        );
        if (opened !== undefined) open.set(number, opened);
      } catch (error) {
        refusal = error;
      }
    }
  };

  const watch: TranslationWatch = {
    translations,
    get lost() {
      return [...open.values()].reduce((sum, one) => sum + one.lost, lostBefore);
    },
    poll(now) {
      nowMs = now;
      if (now - lookedMs >= LOOK_AGAIN_MS) {
        lookedMs = now;
        look();
        translations.expire(now);
      }
      for (const conntrack of open.values()) conntrack.poll(now);
    },
    feature() {
      const name = "address translation";
      const refused = refusal ?? [...open.values()].find((one) => one.refusal !== undefined)?.refusal;
      if (refused !== undefined) {
        const hint = refused instanceof X0Error ? refused.hint : undefined;
        const state = open.size === 0 ? "off" : "degraded";
        return { name, state, reason: messageOf(refused), ...(hint === undefined ? {} : { hint }) };
      }
      if (open.size === 0)
        return {
          name,
          state: "off",
          reason: "the kernel tracks no connections (nf_conntrack is not loaded), so none is translated",
          hint: "nothing to do: it is looked for again every few seconds",
        };
      const { evicted } = translations;
      if (evicted > 0)
        return {
          name,
          state: "degraded",
          reason: `${evicted} translated connections had to make room for others: their two flows may stay apart`,
          hint: "set a larger flows.max_flows",
        };
      const lost = watch.lost === 0 ? "" : `, ${watch.lost} news lost and read anew`;
      return { name, state: "on", detail: `conntrack${lost}` };
    },
    close() {
      for (const conntrack of open.values()) conntrack.close();
      open.clear();
    },
  };
  return watch;
}
