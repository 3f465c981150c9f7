import { once } from "node:events";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { type GrpcClient, grpcClient, grpcFrame } from "../testing/grpc-client.ts";
import { messageLimits } from "./codec.ts";
import { GrpcError, type Method, serveGrpc, serverLimits, status } from "./grpc.ts";

const address = { host: "127.0.0.1", port: 0 };

const methods = new Map<string, Method>([
  ["/test/Echo", { kind: "unary", answer: (request) => request }],
  [
    "/test/Count",
    {
      kind: "stream",
      async answer(request, stream) {
        for (let count = 0; count < (request[0] ?? 0); count++)
          await stream.send(grpcFrame(Buffer.alloc(100_000, count)));
      },
    },
  ],
  [
    "/test/Refuse",
    {
      kind: "stream",
      async answer() {
        throw new GrpcError(status.invalidArgument, 'a "100%" wrong fiëld');
      },
    },
  ],
  [
    "/test/Break",
    {
      kind: "unary",
      answer() {
        throw new TypeError("secret");
      },
    },
  ],
  [
    "/test/Wait",
    {
      kind: "stream",
      async answer(_, stream) {
        stream.accept();
        await new Promise((resolve) => stream.signal.addEventListener("abort", resolve));
      },
    },
  ],
]);

test("unary calls and streams, several on one connection", async () => {
  const server = await serveGrpc(address, methods);
  await using client = grpcClient(server.port);
  const [echo, count] = await Promise.all([
    client.call("/test/Echo", grpcFrame(Buffer.from("hello"))).answer,
    client.call("/test/Count", grpcFrame(Buffer.from([30]))).answer,
  ]);
  expect(echo).toMatchObject({ status: 0, messages: [Buffer.from("hello")] });
  // 3 MB, more than any window: sent as the client takes them.
  expect(count.status).toBe(0);
  expect(count.messages.map((message) => message[99_999])).toEqual(Array.from({ length: 30 }, (_, at) => at));
  await server.close();
});

test.each<[string, string, Buffer, Record<string, string>, number, string]>([
  [
    "an unknown method",
    "/test/No",
    grpcFrame(Buffer.alloc(0)),
    {},
    status.unimplemented,
    "/test/No is not served here",
  ],
  [
    "a refused call",
    "/test/Refuse",
    grpcFrame(Buffer.alloc(0)),
    {},
    status.invalidArgument,
    'a "100%" wrong fiëld',
  ],
  [
    "a call that breaks, without saying how",
    "/test/Break",
    grpcFrame(Buffer.alloc(0)),
    {},
    status.internal,
    "the call failed",
  ],
  [
    "a compressed message",
    "/test/Echo",
    grpcFrame(Buffer.from("x"), 1),
    {},
    status.unimplemented,
    "compressed messages are not read",
  ],
  ["no message", "/test/Echo", Buffer.alloc(0), {}, status.invalidArgument, "the request is not one message"],
  [
    "half a message",
    "/test/Echo",
    grpcFrame(Buffer.from("hello")).subarray(0, 7),
    {},
    status.invalidArgument,
    "the request is not one message",
  ],
  [
    "two messages",
    "/test/Echo",
    Buffer.concat([grpcFrame(Buffer.from("a")), grpcFrame(Buffer.from("b"))]),
    {},
    status.invalidArgument,
    "the request is not one message",
  ],
  [
    "a request beyond the limit",
    "/test/Echo",
    grpcFrame(Buffer.alloc(messageLimits.bytes + 1)),
    {},
    status.resourceExhausted,
    "a request has at most 262144 bytes",
  ],
  [
    "a browser",
    "/test/Echo",
    grpcFrame(Buffer.alloc(0)),
    { origin: "http://evil.example" },
    status.unimplemented,
    "not for browsers",
  ],
])("%s", async (_, path, body, headers, code, text) => {
  const server = await serveGrpc(address, methods);
  await using client = grpcClient(server.port);
  const answer = await client.call(path, body, headers).answer;
  expect(answer).toMatchObject({ messages: [], status: code, text });
  await server.close();
});

test("what is not gRPC gets 415", async () => {
  const server = await serveGrpc(address, methods);
  await using client = grpcClient(server.port);
  const { answer } = client.call("/test/Echo", Buffer.from("{}"), { "content-type": "application/json" });
  expect(await answer).toMatchObject({ httpStatus: 415, status: undefined });
  await server.close();
});

test("a call ends when its client goes, or the server", async () => {
  const server = await serveGrpc(address, methods);
  await using client = grpcClient(server.port);
  const cancelled = client.call("/test/Wait", grpcFrame(Buffer.alloc(0)));
  const waiting = client.call("/test/Wait", grpcFrame(Buffer.alloc(0)));
  const echo = await client.call("/test/Echo", grpcFrame(Buffer.from("x"))).answer;
  expect(echo.status).toBe(0);
  cancelled.cancel();
  expect((await cancelled.answer).status).toBeUndefined();
  await server.close();
  await waiting.answer;
});

test("bytes that are no HTTP/2 end their connection only", async () => {
  const server = await serveGrpc(address, methods);
  const socket = connect(server.port, "127.0.0.1");
  socket.on("error", () => {}).write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20));
  await once(socket.resume(), "close");
  await using client = grpcClient(server.port);
  expect((await client.call("/test/Echo", grpcFrame(Buffer.from("x"))).answer).status).toBe(0);
  await server.close();
});

test("connections beyond the limit are closed at once", async () => {
  const server = await serveGrpc(address, methods);
  const sockets = Array.from({ length: serverLimits.connections }, () => connect(server.port, "127.0.0.1"));
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  const beyond = connect(server.port, "127.0.0.1").on("error", () => {});
  await once(beyond.resume(), "close");
  expect(sockets.every((socket) => !socket.destroyed)).toBe(true);
  for (const socket of sockets) socket.on("error", () => {}).destroy();
  await server.close();
});

test("calls beyond the limit are refused, and room is made again", async () => {
  const server = await serveGrpc(address, methods);
  const clients = Array.from({ length: 5 }, () => grpcClient(server.port));
  const waiting = clients
    .slice(0, 4)
    .flatMap((client) =>
      Array.from({ length: 32 }, () => client.call("/test/Wait", grpcFrame(Buffer.alloc(0)))),
    );
  await Promise.all(waiting.map((call) => call.accepted));
  const last = clients[4] as GrpcClient;
  const echo = () => last.call("/test/Echo", grpcFrame(Buffer.from("x"))).answer;
  expect(await echo()).toMatchObject({
    status: status.resourceExhausted,
    text: "128 calls are answered at once, no more",
  });
  waiting[0]?.cancel();
  await waiting[0]?.answer;
  let answer = await echo();
  while (answer.status === status.resourceExhausted) answer = await echo();
  expect(answer.status).toBe(0);
  await server.close();
  for (const client of clients) await client[Symbol.asyncDispose]();
});
