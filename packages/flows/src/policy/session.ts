/**
 * Over which connection somebody administers this host: OpenSSH leaves it to the programs that it starts (sshd(8),
 * SSH_CONNECTION). sudo and su take it away, so the programs above this one are asked too.
 */
import { readFileSync } from "node:fs";
import { parseAddress } from "../address.ts";
import type { Tuple } from "./enforce/contract.ts";

const TCP = 6;
/** Deeper than any shell is nested; ends a circle that a reused pid might make. */
const MOST_ANCESTORS = 64;

export type Environment = Readonly<Record<string, string | undefined>>;

/** Undefined where it is not over SSH, or nobody may tell. */
export function sshSession(env: Environment, pid = process.pid): Tuple | undefined {
  const own = parseConnection(env["SSH_CONNECTION"] ?? "");
  if (own !== undefined) return own;
  let ancestor = parentOf(pid);
  for (let depth = 0; ancestor > 1 && depth < MOST_ANCESTORS; depth++) {
    const session = parseConnection(connectionIn(ancestor));
    if (session !== undefined) return session;
    ancestor = parentOf(ancestor);
  }
  return undefined;
}

/** `client port server port`. */
function parseConnection(text: string): Tuple | undefined {
  const [client = "", clientPort = "", server = "", serverPort = "", ...rest] = text.split(" ");
  const [source, destination] = [endOf(client, clientPort), endOf(server, serverPort)];
  if (source === undefined || destination === undefined || rest.length > 0) return undefined;
  return { protocol: TCP, source, destination };
}

function endOf(address: string, port: string): Tuple["source"] | undefined {
  const ip = address.replace(/%.*$/, "");
  if (parseAddress(ip) === undefined || !/^\d{1,5}$/.test(port)) return undefined;
  return Number(port) >= 1 && Number(port) <= 65_535 ? { ip, port: Number(port) } : undefined;
}

function connectionIn(pid: number): string {
  const variables = read(`/proc/${pid}/environ`).split("\0");
  return variables.find((variable) => variable.startsWith("SSH_CONNECTION="))?.slice(15) ?? "";
}

/** The fourth field; the second, a name in brackets, may hold anything. */
function parentOf(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? 0);
}

/** Empty where the process is gone or another user's. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
