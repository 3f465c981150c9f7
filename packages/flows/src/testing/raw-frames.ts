/** Puts frames on a device as they are, through a packet socket (packet(7)). */
import type { Namespace } from "../../../../test/lab/index.ts";
import { openLibc } from "../kernel/libc.ts";
import { openNamespace } from "../kernel/namespaces.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const ETH_P_ALL_BIG_ENDIAN = 0x0300;

/** @throws where a frame is not sent */
export async function sendFrames(
  namespace: Namespace,
  device: string,
  frames: readonly Uint8Array[],
): Promise<void> {
  const { index } = await namespace.link(device);
  const libc = openLibc();
  const inside = openNamespace(libc, namespace.path);
  const socket = inside.run(() => libc.socket(AF_PACKET, SOCK_RAW, 0));
  inside.close();
  const address = new Uint8Array(20);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_PACKET, true);
  view.setUint16(2, ETH_P_ALL_BIG_ENDIAN, true);
  view.setInt32(4, index, true);
  try {
    if (socket < 0 || libc.bind(socket, address) < 0) throw new Error(`no packet socket on ${device}`);
    for (const frame of frames) {
      const result = libc.send(socket, frame, 0);
      if (result !== frame.length) throw new Error(`a frame of ${frame.length} bytes: ${result}`);
    }
  } finally {
    libc.close(socket);
  }
}
