/** Spans as programs hold them: https://opentelemetry.io/docs/specs/otel/trace/api/#span */
import {
  type Attributes,
  type AttributeValue,
  diag,
  type Exception,
  type Link,
  type Span,
  type SpanContext,
  type SpanStatus,
  SpanStatusCode,
  type TimeInput,
  TraceFlags,
} from "@opentelemetry/api";
import { type AttributeList, isSimple, outcome, setAttribute, setAttributes } from "./attributes.ts";
import type { EndedSpan, SpanEvent, SpanLink } from "./encode-span.ts";
import { type WordContext, wordContext } from "./ids.ts";
import type { SpanLimits } from "./limits.ts";
import type { Instant, TimeAnchor } from "./time.ts";

/** What the spans of one tracer have in common. */
export interface SpanHome {
  readonly limits: SpanLimits;
  readonly anchor: TimeAnchor;
  ended(span: EndedSpan): void;
}

/** Keeps what it is told until it ends. Nothing that it is told throws. */
export class RecordingSpan implements Span, EndedSpan {
  readonly context: WordContext;
  readonly parent: WordContext | undefined;
  readonly kind: number;
  readonly attributes: AttributeList = [];
  readonly startTime: Instant;
  name: string;
  endTime: Instant = 0;
  droppedAttributes = 0;
  events: SpanEvent[] | undefined = undefined;
  droppedEvents = 0;
  links: SpanLink[] | undefined = undefined;
  droppedLinks = 0;
  statusCode: number = SpanStatusCode.UNSET;
  statusMessage: string | undefined = undefined;
  readonly #home: SpanHome;
  #hasEnded = false;

  constructor(
    home: SpanHome,
    context: WordContext,
    parent: WordContext | undefined,
    name: string,
    kind: number,
    startTime: TimeInput | undefined,
  ) {
    this.#home = home;
    this.context = context;
    this.parent = parent;
    this.name = textOf(name);
    this.kind = kind;
    this.startTime = startTime === undefined ? home.anchor.now() : home.anchor.instant(startTime);
  }

  spanContext(): SpanContext {
    return this.context;
  }

  isRecording(): boolean {
    return !this.#hasEnded;
  }

  setAttribute(key: string, value: AttributeValue): this {
    if (this.#isOver()) return this;
    const { attributeCount, attributeValueLength } = this.#home.limits;
    const became = setAttribute(this.attributes, key, value, attributeCount, attributeValueLength);
    if (became === outcome.full) this.droppedAttributes++;
    return this;
  }

  setAttributes(attributes: Attributes): this {
    try {
      for (const key in attributes)
        if (Object.hasOwn(attributes, key)) this.setAttribute(key, attributes[key] as AttributeValue);
    } catch (error) {
      unreadable("attributes", error);
    }
    return this;
  }

  /** As a caller gives them at the start: what is no attribute counts as dropped there. */
  begin(attributes: Attributes | undefined): void {
    const { attributeCount, attributeValueLength } = this.#home.limits;
    this.droppedAttributes += setAttributes(
      this.attributes,
      attributes,
      attributeCount,
      attributeValueLength,
    );
  }

  addEvent(name: string, attributesOrTime?: Attributes | TimeInput, time?: TimeInput): this {
    if (this.#isOver()) return this;
    const { limits, anchor } = this.#home;
    const first = isTime(attributesOrTime) ? attributesOrTime : undefined;
    const attributes: AttributeList = [];
    const droppedAttributes =
      first === undefined
        ? setAttributes(
            attributes,
            attributesOrTime as Attributes | undefined,
            limits.attributesPerEvent,
            limits.attributeValueLength,
            isSimple,
          )
        : 0;
    if (limits.eventCount <= 0) {
      this.droppedEvents++;
      return this;
    }
    this.events ??= [];
    if (this.events.length >= limits.eventCount) {
      this.events.shift();
      this.droppedEvents++;
    }
    const at = anchor.instant(isTime(time) ? time : first);
    this.events.push({ name: textOf(name), time: at, attributes, droppedAttributes });
    return this;
  }

  addLink(link: Link): this {
    if (this.#isOver()) return this;
    const { linkCount, attributesPerLink, attributeValueLength } = this.#home.limits;
    if (linkCount <= 0) {
      this.droppedLinks++;
      return this;
    }
    try {
      const attributes: AttributeList = [];
      const { context, attributes: given } = link;
      const droppedAttributes = setAttributes(attributes, given, attributesPerLink, attributeValueLength);
      this.links ??= [];
      this.links.push({ context: wordContext(context), attributes, droppedAttributes });
      if (this.links.length > linkCount) {
        this.links.shift();
        this.droppedLinks++;
      }
    } catch (error) {
      unreadable("a link", error);
    }
    return this;
  }

  addLinks(links: Link[]): this {
    if (Array.isArray(links)) for (const link of links) this.addLink(link);
    return this;
  }

  /** Ok is final, and unset changes nothing. */
  setStatus(status: SpanStatus): this {
    const { code, message } = status ?? {};
    if (this.#isOver() || this.statusCode === SpanStatusCode.OK) return this;
    if (code !== SpanStatusCode.OK && code !== SpanStatusCode.ERROR) return this;
    this.statusCode = code;
    this.statusMessage = code === SpanStatusCode.ERROR && typeof message === "string" ? message : undefined;
    return this;
  }

  updateName(name: string): this {
    if (!this.#isOver()) this.name = textOf(name);
    return this;
  }

  recordException(exception: Exception, time?: TimeInput): void {
    try {
      const attributes = exceptionAttributes(exception);
      if (attributes["exception.type"] || attributes["exception.message"])
        this.addEvent("exception", attributes, time);
      else diag.warn("an exception without type and message was not recorded");
    } catch (error) {
      unreadable("an exception", error);
    }
  }

  end(endTime?: TimeInput): void {
    if (this.#isOver()) return;
    const { anchor } = this.#home;
    const at = endTime === undefined ? anchor.now() : anchor.instant(endTime);
    this.endTime = anchor.isBefore(at, this.startTime) ? this.startTime : at;
    this.#hasEnded = true;
    if (this.context.traceFlags & TraceFlags.SAMPLED) this.#home.ended(this);
  }

  #isOver(): boolean {
    if (this.#hasEnded) diag.warn(`span "${this.name}" has ended: what came later was ignored`);
    return this.#hasEnded;
  }
}

/** Carries its context and nothing else. */
export class UnrecordedSpan implements Span {
  readonly #context: SpanContext;

  constructor(context: SpanContext) {
    this.#context = context;
  }

  spanContext(): SpanContext {
    return this.#context;
  }
  isRecording(): boolean {
    return false;
  }
  setAttribute(): this {
    return this;
  }
  setAttributes(): this {
    return this;
  }
  addEvent(): this {
    return this;
  }
  addLink(): this {
    return this;
  }
  addLinks(): this {
    return this;
  }
  setStatus(): this {
    return this;
  }
  updateName(): this {
    return this;
  }
  recordException(): void {}
  end(): void {}
}

/** https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/ */
function exceptionAttributes(exception: Exception): Attributes {
  if (typeof exception === "string") return { "exception.message": exception };
  const { code, name, message, stack } = exception as Partial<
    Record<"code" | "name" | "message" | "stack", string>
  >;
  const type = code ? String(code) : name;
  return {
    ...(type ? { "exception.type": type } : {}),
    ...(message ? { "exception.message": message } : {}),
    ...(stack ? { "exception.stacktrace": stack } : {}),
  };
}

/** A name that is no text is made one, where that is possible. */
function textOf(name: unknown): string {
  if (typeof name === "string") return name;
  try {
    return String(name);
  } catch {
    return "";
  }
}

/** What a program hands over may be a proxy, or have getters: the program must not fail for being watched. */
function unreadable(what: string, error: unknown): void {
  diag.warn(`${what} of a span could not be read`, error);
}

function isTime(value: unknown): value is TimeInput {
  return (
    typeof value === "number" ||
    value instanceof Date ||
    (Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === "number"))
  );
}
