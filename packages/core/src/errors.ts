/** Process exit codes of the `x0` command: failed, wrong usage, not supported or not permitted. */
export type ExitCode = 1 | 2 | 3;

export interface ErrorKind {
  /** When this happens, for `docs/errors.md`. */
  readonly when: string;
  readonly exit: ExitCode;
}

/** The error codes of one package. Every code is listed in `docs/errors.md`; a test keeps both equal. */
export type ErrorTable = Readonly<Record<string, ErrorKind>>;

export interface ErrorOptions {
  /** The next thing to do: a command, a setting, a privilege. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** Every error that leaves a package: a stable code, what happened with the actual value, and the next step. */
export class X0Error extends Error {
  readonly code: string;
  readonly hint: string | undefined;
  readonly exit: ExitCode;

  constructor(code: string, exit: ExitCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = "X0Error";
    this.code = code;
    this.exit = exit;
    this.hint = options.hint;
  }
}

export type Fail<Table extends ErrorTable> = (
  code: keyof Table & string,
  message: string,
  options?: ErrorOptions,
) => X0Error;

/** Binds a package's table, so that an unknown code does not compile. */
export function errorsOf<const Table extends ErrorTable>(table: Table): Fail<Table> {
  return (code, message, options) => {
    const kind = table[code];
    return new X0Error(code, kind === undefined ? 1 : kind.exit, message, options);
  };
}

/** The message of anything thrown, on one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.trim().replace(/\s*\n\s*/g, " ");
}

export const coreErrors = {
  X0_CORE_CHANNEL_CLOSED: { when: "A worker thread ended while a call to it was under way.", exit: 1 },
  X0_CORE_DATABASE_BUSY: { when: "Another process holds a database file exclusively.", exit: 1 },
  X0_CORE_DATABASE_CORRUPT: { when: "A database file is not a database or fails its own checks.", exit: 1 },
  X0_CORE_DATABASE_NEWER: { when: "A database file was written by a newer version of x0.", exit: 1 },
  X0_CORE_DATABASE_UNUSABLE: { when: "A database file cannot be opened or written.", exit: 1 },
  X0_CORE_DISK_FULL: { when: "The disk that holds the data folder has no room left.", exit: 1 },
  X0_CORE_INVALID_QUANTITY: { when: "A duration, size or time could not be read.", exit: 2 },
  X0_CORE_SERVICE_TAKEN: { when: "Two parts of a node offer the same service.", exit: 1 },
  X0_CORE_STOP_TIMEOUT: { when: "A part did not stop within its deadline.", exit: 1 },
} as const;

export const coreFail: Fail<typeof coreErrors> = errorsOf(coreErrors);
