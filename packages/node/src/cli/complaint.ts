import {
  ArgumentParseError,
  ArgumentScannerError,
  formatMessageForArgumentScannerError,
} from "@stricli/core";
import { messageOf, X0Error } from "@x0tta6bl4/core";

/** What a failure looks like on stderr: one line, a hint, and a stack only when asked for and not foreseen. */
export function complaintOf(error: unknown, debug: boolean): string {
  if (error instanceof ArgumentParseError && error.exception instanceof X0Error)
    return complaintOf(error.exception, debug);
  if (error instanceof ArgumentScannerError)
    return `x0: ${lowerFirst(formatMessageForArgumentScannerError(error, {}))}\nhint: add --help to see what fits`;
  if (error instanceof X0Error)
    return `x0: ${messageOf(error)}${error.hint === undefined ? "" : `\nhint: ${error.hint}`}`;
  const stack = error instanceof Error ? error.stack : undefined;
  return debug && stack !== undefined
    ? `x0: unexpected error\n${stack}`
    : `x0: unexpected error: ${messageOf(error)}\nhint: X0_DEBUG=1 shows where`;
}

export function exitCodeOf(error: unknown): number {
  return error instanceof X0Error ? error.exit : 1;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
