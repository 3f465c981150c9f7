/**
 * From batches to messages. A flow is one record, or one a way; a long one is a record each time its counters are
 * told, which then are what came since. What a `start` tells is held back until the flow's next record, so that a
 * short flow is not sent twice.
 */
import { parseAddress } from "../../address.ts";
import { protocolNumbers, tcpFlag } from "../../protocols.ts";
import { RECORD_WORDS, type RecordReader, recordWord } from "../../recording/record.ts";
import { gatherMessages, type IpfixMessage, type Messages } from "./messages.ts";
import type { Templates } from "./templates.ts";
import { emptyWay, endReason, readWay, type Translated, turn, type Way } from "./way.ts";

/** About 8 MB. Beyond it a start is sent at once, and the flow is two records. */
const MOST_HELD = 16_384;

export interface IpfixRecords {
  add(reader: RecordReader, index: number): void;
  flush(): void;
  /** Sends what was held back. */
  finish(): void;
}

export interface RecordOptions {
  readonly templates: Templates;
  /** Both ways in one record, RFC 5103. */
  readonly isBiflow: boolean;
  readonly maxBytes: number;
  /** 0 where it is not known. */
  interfaceIndex(netns: number, name: string): number;
  put(message: IpfixMessage): void;
}

export function ipfixRecords(options: RecordOptions): IpfixRecords {
  const { templates, isBiflow, maxBytes, interfaceIndex, put } = options;
  const domains = new Map<number, Messages>();
  const held = new Map<number, Way>();
  const scratch = emptyWay();

  const send = (way: Way, reason: number): void => {
    way.endReason = reason;
    let messages = domains.get(way.netns);
    if (messages === undefined) {
      messages = gatherMessages(way.netns, maxBytes, put);
      domains.set(way.netns, messages);
    }
    if (way.packets > 0 || (isBiflow && way.reversePackets > 0)) messages.add(templates.of(way), way);
    if (isBiflow || way.reversePackets <= 0) return;
    turn(way);
    messages.add(templates.of(way), way);
  };
  const flush = (): void => {
    for (const messages of domains.values()) messages.flush();
  };
  return {
    add(reader, index) {
      const base = index * RECORD_WORDS;
      readWay(scratch, reader.words, reader.doubles, base);
      const { strings, translations } = reader.batch;
      const name = strings[reader.words[base + recordWord.interfaceString] as number] ?? "";
      scratch.interfaceIndex = interfaceIndex(scratch.netns, name);
      scratch.translated = translatedOf(reader.words, base, translations);
      const change = reader.change(index);
      if (change === "start") {
        if (held.size < MOST_HELD) held.set(scratch.id, kept(scratch));
        else send(scratch, endReason.active);
        return;
      }
      const earlier = held.get(scratch.id);
      if (earlier !== undefined) {
        held.delete(scratch.id);
        scratch.packets += earlier.packets;
        scratch.bytes += earlier.bytes;
        scratch.reversePackets += earlier.reversePackets;
        scratch.reverseBytes += earlier.reverseBytes;
      }
      if (change === "update") send(scratch, endReason.active);
      else send(scratch, isClosed(scratch) ? endReason.ended : endReason.idle);
    },
    flush,
    finish() {
      for (const way of held.values()) send(way, endReason.forced);
      held.clear();
      flush();
    },
  };
}

/** A copy that outlives its batch. */
function kept(way: Way): Way {
  return { ...way, source: way.source.slice(), destination: way.destination.slice() };
}

/** Ended by its own flags, as the flow table has it: a RST, or a FIN each way. */
function isClosed({ protocol, flags, reverseFlags }: Way): boolean {
  if (protocol !== protocolNumbers.tcp) return false;
  return ((flags | reverseFlags) & tcpFlag.RST) !== 0 || (flags & reverseFlags & tcpFlag.FIN) !== 0;
}

function translatedOf(
  words: Uint32Array,
  base: number,
  translations: RecordReader["batch"]["translations"],
): Translated | undefined {
  const translation = words[base + recordWord.translation] as number;
  if (translation === 0) return undefined;
  const { source, destination } = translations[translation] ?? { source: "", destination: "" };
  const [from, to] = [parseAddress(source), parseAddress(destination)];
  if (from === undefined || to === undefined) return undefined;
  const ports = words[base + recordWord.translatedPorts] as number;
  return { source: from, destination: to, sourcePort: ports & 0xffff, destinationPort: ports >>> 16 };
}
