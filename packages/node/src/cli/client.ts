import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { type AgentClient, type ExitCode, X0Error } from "@x0tta6bl4/core";
import { nodeFail } from "../errors.ts";
import { readEvents } from "./events.ts";

type Query = Readonly<Record<string, string>>;

/** @param sockets where an agent may be; the first that answers is it. */
export function agentClient(sockets: readonly string[]): AgentClient {
  return {
    async get(path, query = {}) {
      const response = await open(sockets, { path, query });
      return JSON.parse(await text(response)) as unknown;
    },
    async post(path, body) {
      const response = await open(sockets, { path, query: {}, body });
      return JSON.parse(await text(response)) as unknown;
    },
    async *stream(path, query, signal) {
      try {
        const response = await open(sockets, { path, query, signal });
        for await (const event of readEvents(response)) {
          if (event.event === "error") throw revive(event.data as WireError, 1);
          yield event;
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    },
    async *bytes(path, query, signal) {
      let response: IncomingMessage | undefined;
      try {
        response = await open(sockets, { path, query, signal });
        for await (const chunk of response) yield chunk as Buffer;
      } catch (error) {
        if (signal.aborted) return;
        // It ended the connection, not the answer.
        throw (error as NodeJS.ErrnoException).code === "ECONNRESET"
          ? socketError(sockets.join(" or "), error)
          : error;
      } finally {
        response?.destroy();
      }
    },
  };
}

interface Call {
  readonly path: string;
  readonly query: Query;
  /** GET without, POST with it. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

/** @throws X0_NODE_NO_AGENT, X0_NODE_SOCKET_DENIED, X0_NODE_SOCKET, and what the agent answered */
async function open(
  sockets: readonly string[],
  { path, query, body, signal }: Call,
): Promise<IncomingMessage> {
  const search = new URLSearchParams(query).toString();
  const target = search === "" ? path : `${path}?${search}`;
  for (const socketPath of sockets) {
    const call = request({
      socketPath,
      path: target,
      host: "x0",
      ...(body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" } }),
      ...(signal === undefined ? {} : { signal }),
    });
    call.end(body === undefined ? undefined : JSON.stringify(body));
    try {
      const [response] = (await once(call, "response")) as [IncomingMessage];
      if (response.statusCode === 200) return response;
      throw refusal(response.statusCode ?? 0, await text(response));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ENOENT" && code !== "ECONNREFUSED" && code !== "ENOTDIR")
        throw socketError(socketPath, error);
    }
  }
  throw nodeFail(
    "X0_NODE_NO_AGENT",
    `no agent runs on ${sockets.map((path) => path.replace(/\/x0\.sock$/, "")).join(" or ")}`,
    {
      hint: "start it: x0 up (or name its folder with --data-dir)",
    },
  );
}

async function text(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

function socketError(path: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof X0Error || (error as Error).name === "AbortError") return error;
  if (code === "EACCES" || code === "EPERM")
    return nodeFail("X0_NODE_SOCKET_DENIED", `this user may not use ${path}`, {
      hint: "run as the agent's user or with sudo, or join the group x0",
      cause: error,
    });
  return nodeFail("X0_NODE_SOCKET", `the agent at ${path} broke off: ${(error as Error).message}`, {
    hint: "its log says why; `x0 doctor` checks it",
    cause: error,
  });
}

interface WireError {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
}

function refusal(status: number, body: string): X0Error {
  const exit: ExitCode = status === 501 || status === 401 || status === 403 ? 3 : status < 500 ? 2 : 1;
  try {
    return revive((JSON.parse(body) as { error: WireError }).error, exit);
  } catch {
    return nodeFail("X0_NODE_SOCKET", `the agent answered with HTTP status ${status}`);
  }
}

function revive({ code, message, hint }: WireError, exit: ExitCode): X0Error {
  return new X0Error(code, exit, message, { hint: hint ?? undefined });
}
