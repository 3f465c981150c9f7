/**
 * TCP connections that are older than the agent: who opened them shows in no packet any more. A connection whose local
 * port is listened on was opened by the other side.
 */
import { readFileSync } from "node:fs";
import { policyProtocols } from "../model.ts";
import type { Tuple } from "./contract.ts";

const ESTABLISHED = "01";
const LISTEN = "0A";

/** Their source is the side that opened them. Of this thread's network namespace. */
export function olderConnections(): Tuple[] {
  const rows = ["tcp", "tcp6"].flatMap((name) => socketRows(`/proc/thread-self/net/${name}`));
  const listening = new Set(rows.filter(({ state }) => state === LISTEN).map(({ local }) => local.port));
  return rows
    .filter(({ state }) => state === ESTABLISHED)
    .map(({ local, remote }) => {
      const isAsked = listening.has(local.port);
      return {
        protocol: policyProtocols.tcp,
        source: isAsked ? remote : local,
        destination: isAsked ? local : remote,
      };
    });
}

interface SocketRow {
  readonly local: Tuple["source"];
  readonly remote: Tuple["source"];
  readonly state: string;
}

/** Lines of proc_pid_net(5): number, local, remote, state, … with addresses as words in this machine's order. */
function socketRows(path: string): SocketRow[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    // No IPv6 in this kernel.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  return text
    .trimEnd()
    .split("\n")
    .slice(1)
    .map((line) => {
      const [, local = "", remote = "", state = ""] = line.trim().split(/\s+/);
      return { local: endOf(local), remote: endOf(remote), state };
    });
}

function endOf(field: string): Tuple["source"] {
  const [address = "", port = ""] = field.split(":");
  const bytes = Buffer.from(address, "hex");
  for (let at = 0; at < bytes.length; at += 4) bytes.subarray(at, at + 4).reverse();
  const groups = Array.from({ length: bytes.length / 2 }, (_, index) =>
    bytes.readUInt16BE(2 * index).toString(16),
  );
  return { ip: bytes.length === 4 ? bytes.join(".") : groups.join(":"), port: Number.parseInt(port, 16) };
}
