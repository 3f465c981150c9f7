/** Sends the frames that it is given, in their order, and says how many it has sent in all. */
import { openPacketSocket } from "../packet-socket.ts";
import type { ScriptContract } from "../process.ts";
import { serveScript } from "./serve.ts";

export interface FramesContract extends ScriptContract {
  readonly argument: { readonly interfaceIndex: number };
  readonly ready: undefined;
  readonly order: readonly Uint8Array[];
  readonly event: number;
  readonly result: number;
}

const SLOTS = 256;
const SLOT_BYTES = 2048;

serveScript<FramesContract>(async ({ interfaceIndex }, parent) => {
  const socket = openPacketSocket(interfaceIndex, SLOTS, SLOT_BYTES);
  let sent = 0;
  const failure = Promise.withResolvers<never>();
  const send = (frames: readonly Uint8Array[]): void => {
    for (let from = 0; from < frames.length; from += SLOTS) {
      const some = frames.slice(from, from + SLOTS);
      for (const [slot, frame] of some.entries()) {
        socket.frame(slot).set(frame);
        socket.setLength(slot, frame.length);
      }
      socket.send(some.length);
      sent += some.length;
    }
    parent.emit(sent);
  };
  parent.on((frames) => {
    try {
      send(frames);
    } catch (error) {
      // The device has gone.
      failure.reject(error);
    }
  });
  parent.ready(undefined);
  await Promise.race([parent.finished, failure.promise]);
  socket.close();
  return sent;
});
