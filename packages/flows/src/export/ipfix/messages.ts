/** Data records of an observation domain, gathered into messages of a size; templates may follow one another in one. */
import type { Chunk } from "@x0tta6bl4/telemetry";
import type { Template } from "./templates.ts";
import type { Way } from "./way.ts";
import { HEADER_BYTES, SET_HEADER_BYTES } from "./wire.ts";

/** Complete but for its header, which is stamped when it is sent. */
export interface IpfixMessage extends Chunk {
  readonly domain: number;
}

export interface Messages {
  add(template: Template, way: Way): void;
  flush(): void;
}

export function gatherMessages(
  domain: number,
  maxBytes: number,
  put: (message: IpfixMessage) => void,
): Messages {
  const bytes = new Uint8Array(maxBytes);
  const view = new DataView(bytes.buffer);
  let end = HEADER_BYTES;
  let records = 0;
  let setAt = 0;
  let openTemplate = 0;
  const closeSet = (): void => {
    if (openTemplate !== 0) view.setUint16(setAt + 2, end - setAt);
    openTemplate = 0;
  };
  const flush = (): void => {
    closeSet();
    if (records > 0) put({ bytes: bytes.slice(0, end), records, domain });
    end = HEADER_BYTES;
    records = 0;
  };
  return {
    add(template, way) {
      if (template.recordBytes === 0) return;
      const header = template.id === openTemplate ? 0 : SET_HEADER_BYTES;
      if (end + header + template.recordBytes > maxBytes) flush();
      if (template.id !== openTemplate) {
        closeSet();
        openTemplate = template.id;
        setAt = end;
        view.setUint16(setAt, template.id);
        end += SET_HEADER_BYTES;
      }
      template.write(view, end, way);
      end += template.recordBytes;
      records++;
    },
    flush,
  };
}
