/**
 * What the node says of its policies, asked again each second: the state for the countdown, figures for the rates, and
 * the rest where the generation or the question is another.
 */
import { ApiError, getJson, postJson } from "../api.ts";
import type { Trouble } from "../model.ts";
import type { PolicyView } from "./query.ts";
import type {
  Change,
  Generation,
  MatrixAnswer,
  PolicyDocument,
  PolicyList,
  PolicyState,
  PolicyWarning,
  RuleFigures,
} from "./shapes.ts";

const askEveryMs = 1000;
/** While nothing comes: a node that starts anew takes some seconds. */
const retryAfterMs = 2000;
const figuresEach = 2;
/** The matrix changes with the world alone, and figures of so many rules are a megabyte. */
const seldomEach = 10;
const manyRules = 2000;

export interface Deadline {
  readonly generation: number;
  readonly documents: readonly string[];
  /** On this browser's clock. */
  readonly untilMs: number;
  /** How long it may wait in all. */
  readonly wholeMs: number;
}

export interface Rule extends RuleFigures {
  /** Since the last figures; undefined before there are two of them. */
  readonly packetsPerSecond: number | undefined;
}

export class PolicyModel {
  state: PolicyState | undefined;
  documents: readonly PolicyDocument[] = [];
  warnings: readonly PolicyWarning[] = [];
  generations: readonly Generation[] = [];
  rules: readonly Rule[] = [];
  matrix: MatrixAnswer | undefined;
  deadline: Deadline | undefined;
  trouble: Trouble | undefined;
  #question = "";
  #shown = "";
  #rounds = 0;
  #figuresAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #abort = new AbortController();
  #listeners = new Set<() => void>();
  #nodeTimeMs: () => number;

  constructor(nodeTimeMs: () => number) {
    this.#nodeTimeMs = nodeTimeMs;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Asks what the view needs, now and, while it is live, each second. */
  show({ direction, endpoint, live }: PolicyView): void {
    const query = new URLSearchParams({ direction, ...(endpoint === undefined ? {} : { endpoint }) });
    const question = `${query}`;
    if (question !== this.#question) this.matrix = undefined;
    this.#question = question;
    this.#restart(live);
  }

  /** Until the page is closed. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  /** @throws ApiError */
  async change(verb: "apply" | "delete", body: unknown): Promise<Change> {
    const change = await postJson<Change>(`/api/v1/policy/${verb}`, body);
    await this.#ask(true);
    return change;
  }

  /** @throws ApiError */
  async settle(verb: "confirm" | "revert"): Promise<void> {
    try {
      await postJson(`/api/v1/policy/${verb}`, {});
    } finally {
      await this.#ask(true);
    }
  }

  #restart(live: boolean): void {
    this.stop();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    const round = async (): Promise<void> => {
      // Nobody looks: the node need not count.
      if (!document.hidden || this.state === undefined) await this.#ask(false);
      if (signal.aborted || !(live || this.trouble !== undefined)) return;
      this.#timer = setTimeout(round, this.trouble === undefined ? askEveryMs : retryAfterMs);
    };
    void round();
  }

  async #ask(isWhole: boolean): Promise<void> {
    const { signal } = this.#abort;
    try {
      const state = await getJson<PolicyState>("/api/v1/policy/state", signal);
      const round = this.#rounds++;
      const shown = JSON.stringify([
        state.generation,
        state.waiting?.generation,
        state.applied,
        state.enforced,
      ]);
      const isNew = isWhole || shown !== this.#shown || this.trouble !== undefined;
      await Promise.all([
        isNew ? this.#askDocuments(signal) : undefined,
        isNew || round % (this.rules.length > manyRules ? seldomEach : figuresEach) === 0
          ? this.#askFigures(signal)
          : undefined,
        isNew || this.matrix === undefined || round % seldomEach === 0 ? this.#askMatrix(signal) : undefined,
      ]);
      this.#shown = shown;
      this.state = state;
      this.deadline = this.#deadlineOf(state);
      this.trouble = undefined;
    } catch (error) {
      if (signal.aborted) return;
      const reason = error instanceof ApiError ? error : new ApiError(0, "", String(error));
      this.trouble = { error: reason, sinceMs: this.trouble?.sinceMs ?? Date.now() };
    }
    for (const listener of this.#listeners) listener();
  }

  /** The node says what is left, this browser counts on: a new answer moves the end only if it is another's. */
  #deadlineOf({ waiting }: PolicyState): Deadline | undefined {
    if (waiting === null) return undefined;
    const { generation, documents, secondsLeft, applied } = waiting;
    const untilMs = Date.now() + secondsLeft * 1000;
    const known = this.deadline;
    if (known?.generation === generation && Math.abs(known.untilMs - untilMs) < 500) return known;
    const gone = Math.max(0, this.#nodeTimeMs() - Date.parse(applied));
    return { generation, documents, untilMs, wholeMs: secondsLeft * 1000 + gone };
  }

  async #askDocuments(signal: AbortSignal): Promise<void> {
    const [list, warned, made] = await Promise.all([
      getJson<PolicyList>("/api/v1/policy", signal),
      getJson<{ warnings: PolicyWarning[] }>("/api/v1/policy/warnings", signal),
      getJson<{ generations: Generation[] }>("/api/v1/policy/generations", signal),
    ]);
    this.documents = list.documents;
    this.warnings = warned.warnings;
    this.generations = made.generations;
  }

  async #askFigures(signal: AbortSignal): Promise<void> {
    const { rules } = await getJson<{ rules: RuleFigures[] }>("/api/v1/policy/figures", signal);
    const now = performance.now();
    const seconds = (now - this.#figuresAt) / 1000;
    const before = new Map(this.rules.map((rule) => [`${rule.id} ${rule.decision}`, rule.packets]));
    const isFirst = this.#figuresAt === 0;
    this.rules = rules.map((rule) => {
      const packets = before.get(`${rule.id} ${rule.decision}`) ?? 0;
      // Counters begin anew with the agent.
      return {
        ...rule,
        packetsPerSecond: isFirst ? undefined : Math.max(0, rule.packets - packets) / seconds,
      };
    });
    this.#figuresAt = now;
  }

  async #askMatrix(signal: AbortSignal): Promise<void> {
    const question = this.#question;
    const matrix = await getJson<MatrixAnswer>(`/api/v1/policy/matrix?${question}`, signal);
    if (question === this.#question) this.matrix = matrix;
  }
}
