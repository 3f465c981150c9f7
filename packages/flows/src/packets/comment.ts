import type { FlowProcess } from "../flow.ts";

export interface Commented {
  /** Of the socket that sent the packet, and of the one that is to receive it, where they are this host's. */
  readonly sender: FlowProcess | null;
  readonly receiver: FlowProcess | null;
  /** The kernel's reason, if it dropped the packet. */
  readonly dropped: string | undefined;
}

/** What a packet's comment says: `from curl (pid 4711, unit session-3.scope) to nginx (pid 80); forwarded`. */
export function commentOf({ sender, receiver, dropped }: Commented): string {
  const ends = [
    ...(sender === null ? [] : [`from ${named(sender)}`]),
    ...(receiver === null ? [] : [`to ${named(receiver)}`]),
  ].join(" ");
  const verdict = dropped === undefined ? "forwarded" : `dropped: ${dropped}`;
  return ends === "" ? verdict : `${ends}; ${verdict}`;
}

function named({ comm, pid, unit, container }: FlowProcess): string {
  const facts = [
    `pid ${pid}`,
    ...(unit === null ? [] : [`unit ${shown(unit)}`]),
    ...(container === null ? [] : [`container ${shown(container)}`]),
  ];
  return `${shown(comm)} (${facts.join(", ")})`;
}

/** A process names itself as it likes: no control character, no mark of direction reaches whoever reads the file. */
function shown(text: string): string {
  return text.replace(/\p{C}/gu, "\ufffd").slice(0, 256);
}
