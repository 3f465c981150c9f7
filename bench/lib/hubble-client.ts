/**
 * Client of `hubble-api`, in a process of its own: follows flows over gRPC, takes each message apart as far as the
 * socket's cookie, which numbers the flows, and tells its parent how far it is.
 */
import { connect } from "node:http2";

interface Progress {
  readonly flows: number;
  readonly cookies: number;
  readonly bytes: number;
  readonly lost: number;
}

const FLOW = 1;
const LOST = 3;
const COOKIE = 32;

const [port = ""] = process.argv.slice(2);
const session = connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 1 << 20 } });
session.once("connect", () => session.setLocalWindowSize(1 << 22));
const call = session.request({
  ":method": "POST",
  ":path": "/observer.Observer/GetFlows",
  "content-type": "application/grpc",
  te: "trailers",
});
const totals = { flows: 0, cookies: 0, bytes: 0, lost: 0 };
let rest: Buffer = Buffer.alloc(0);

// The first report says that the call is accepted.
call.on("response", () => {
  setInterval(() => process.send?.({ ...totals } satisfies Progress, undefined, {}, () => {}), 20);
});
call.on("data", (chunk: Buffer) => {
  totals.bytes += chunk.length;
  let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
  while (bytes.length >= 5) {
    const size = bytes.readUInt32BE(1);
    if (bytes.length < 5 + size) break;
    count(bytes, 5, 5 + size);
    bytes = bytes.subarray(5 + size);
  }
  rest = bytes;
});
process.once("disconnect", () => process.exit());
// GetFlowsRequest { follow: true }
call.end(Buffer.from([0, 0, 0, 0, 2, 0x18, 1]));

/** GetFlowsResponse: a flow with its cookie, or a loss. */
function count(bytes: Buffer, from: number, to: number): void {
  for (let at = from; at < to; ) {
    const { field, start, end } = fieldAt(bytes, at);
    if (field === FLOW) {
      totals.flows++;
      totals.cookies += cookieOf(bytes, start, end);
    } else if (field === LOST) totals.lost++;
    at = end;
  }
}

function cookieOf(bytes: Buffer, from: number, to: number): number {
  for (let at = from; at < to; ) {
    const { field, value, end } = fieldAt(bytes, at);
    if (field === COOKIE) return value;
    at = end;
  }
  throw new Error("a flow without its cookie");
}

function fieldAt(bytes: Buffer, at: number) {
  const tag = varint(bytes, at);
  const field = Math.floor(tag.value / 8);
  const first = varint(bytes, tag.end);
  if (tag.value % 8 === 0) return { field, value: first.value, start: tag.end, end: first.end };
  if (tag.value % 8 === 2) return { field, value: 0, start: first.end, end: first.end + first.value };
  throw new Error(`wire type ${tag.value % 8}`);
}

function varint(bytes: Buffer, at: number): { readonly value: number; readonly end: number } {
  let value = 0;
  let factor = 1;
  for (let end = at; ; end++) {
    const byte = bytes[end] as number;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return { value, end: end + 1 };
    factor *= 128;
  }
}
