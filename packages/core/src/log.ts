export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** A structured log. A message is a constant sentence; what varies goes into the fields. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose lines carry `part`. */
  for(part: string): Log;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: "text" | "json";
  readonly write: (line: string) => void;
  readonly nowMs?: () => number;
}

const ranks: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** One line an event: `json` for collectors, `text` for people. */
export function createLog(options: LogOptions): Log {
  const { level, format, write, nowMs = Date.now } = options;
  const make = (part: string | undefined): Log => {
    const emit = (at: LogLevel, message: string, fields: LogFields = {}): void => {
      if (ranks[at] < ranks[level]) return;
      const time = new Date(nowMs()).toISOString();
      if (format === "json") {
        // First for the order of the keys, last because no field may pose as one of them.
        const own = { time, level: at, part, message };
        write(`${JSON.stringify({ ...own, ...fields, ...own })}\n`);
        return;
      }
      const tail = Object.entries(fields)
        .filter(([, value]) => value !== undefined)
        .map(([key, value]) => ` ${key}=${typeof value === "string" ? JSON.stringify(value) : value}`)
        .join("");
      write(`${time} ${at.padEnd(5)} ${part === undefined ? "" : `${part}: `}${message}${tail}\n`);
    };
    return {
      debug: (message, fields) => emit("debug", message, fields),
      info: (message, fields) => emit("info", message, fields),
      warn: (message, fields) => emit("warn", message, fields),
      error: (message, fields) => emit("error", message, fields),
      for: make,
    };
  };
  return make(undefined);
}
