/** A client of gRPC for tests, on Node's HTTP/2: raw messages in and out, statuses as they come. */
import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";

export interface Answer {
  readonly messages: readonly Buffer[];
  /** `grpc-status` and `grpc-message`, decoded. */
  readonly status: number | undefined;
  readonly text: string;
  readonly httpStatus: number | undefined;
}

export interface Call {
  /** Resolves with the first headers of the answer. */
  readonly accepted: Promise<void>;
  readonly answer: Promise<Answer>;
  /** Resolves when so many messages have come. */
  received(count: number): Promise<readonly Buffer[]>;
  cancel(): void;
}

export interface GrpcClient extends AsyncDisposable {
  call(path: string, body: Buffer, headers?: Readonly<Record<string, string>>): Call;
}

export function grpcClient(port: number): GrpcClient {
  const session: ClientHttp2Session = connect(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  return {
    call(path, body, headers = {}) {
      const stream = session.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        te: "trailers",
        ...headers,
      });
      const messages: Buffer[] = [];
      const waiting = new Set<() => void>();
      let rest: Buffer = Buffer.alloc(0);
      let status: number | undefined;
      let text = "";
      let httpStatus: number | undefined;
      const read = (fields: NodeJS.Dict<unknown>): void => {
        if (fields["grpc-status"] === undefined) return;
        status = Number(fields["grpc-status"]);
        text = decodeURIComponent(String(fields["grpc-message"] ?? ""));
      };
      const accepted = Promise.withResolvers<void>();
      stream.on("response", (fields) => {
        accepted.resolve();
        httpStatus = fields[":status"];
        read(fields);
      });
      stream.on("trailers", read);
      stream.on("data", (chunk: Buffer) => {
        rest = Buffer.concat([rest, chunk]);
        while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
          const end = 5 + rest.readUInt32BE(1);
          messages.push(rest.subarray(5, end));
          rest = rest.subarray(end);
        }
        for (const check of [...waiting]) check();
      });
      const answer = new Promise<Answer>((resolve) => {
        stream.on("error", () => {});
        stream.on("close", () => resolve({ messages, status, text, httpStatus }));
      });
      stream.end(body);
      return {
        accepted: accepted.promise,
        answer,
        received: (count) =>
          new Promise((resolve) => {
            const check = (): void => {
              if (messages.length < count) return;
              waiting.delete(check);
              resolve(messages);
            };
            waiting.add(check);
            check();
          }),
        cancel: () => stream.close(8),
      };
    },
    async [Symbol.asyncDispose]() {
      if (session.destroyed) return;
      const closed = once(session, "close");
      session.destroy();
      await closed;
    },
  };
}

/** A message with its length before it. */
export function grpcFrame(message: Buffer, compressed = 0): Buffer {
  const frame = Buffer.alloc(5 + message.length);
  frame[0] = compressed;
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, 5);
  return frame;
}
