/** Reads pcapng files: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/ (block numbers and names from there). */
import { flowsFail } from "../errors.ts";
import { type ByteSource, corrupt, truncated, u16, u32 } from "./bytes.ts";
import { captureLimits } from "./limits.ts";
import { type CapturedPacket, checkLengths } from "./pcap.ts";

export const sectionHeaderType = 0x0a0d0d0a;

const blockType = {
  interfaceDescription: 1,
  /** Obsolete. */
  packet: 2,
  simplePacket: 3,
  enhancedPacket: 6,
} as const;

const readTypes = new Set<number>(Object.values(blockType));
const option = { end: 0, name: 2, timestampResolution: 9, timestampOffset: 14 } as const;
const byteOrderMagic = 0x1a2b3c4d;
const nsPerSecond = 1_000_000_000n;
const latestNs = BigInt(captureLimits.timestampSeconds) * nsPerSecond;

interface Interface {
  readonly linkType: number;
  readonly snapLength: number;
  readonly name: string | undefined;
  /** Units of the timestamps in a second. */
  readonly unitsPerSecond: bigint;
  readonly offsetNs: bigint;
}

interface Section {
  readonly little: boolean;
  readonly interfaces: Interface[];
}

/** A block that is held: where its body begins in the file, and the body between both lengths. */
interface Block {
  readonly at: number;
  readonly body: Uint8Array;
}

/**
 * @param source at the file's first byte, where `sectionHeaderType` stands.
 * @throws X0_FLOWS_CAPTURE_TRUNCATED, X0_FLOWS_CAPTURE_CORRUPT, X0_FLOWS_CAPTURE_UNSUPPORTED, each after the
 * packets before the fault.
 */
export async function* readPcapng(source: ByteSource): AsyncGenerator<CapturedPacket> {
  let section: Section = { little: true, interfaces: [] };
  let latest = 0n;
  for (;;) {
    const at = source.offset;
    const head = source.take(8) ?? (await source.read(8));
    if (head === undefined) {
      if (source.buffered === 0) return;
      throw truncated(source, at, "a block header", 8);
    }
    const type = u32(head, 0, section.little);
    if (type === sectionHeaderType) {
      section = await readSectionHeader(source, at, head);
      continue;
    }
    const length = u32(head, 4, section.little);
    if (length < 12 || length % 4 !== 0) throw corrupt(at, `a block claims a length of ${length}`);
    if (!readTypes.has(type)) {
      await skipBlock(source, at, length, section);
      continue;
    }
    if (length > captureLimits.blockBytes)
      throw corrupt(at, `a block claims ${length} bytes; at most ${captureLimits.blockBytes} are possible`);
    const rest = source.take(length - 8) ?? (await source.read(length - 8));
    if (rest === undefined) throw truncated(source, at, "a block", length);
    checkTrailer(at, rest, length, section);
    const block = { at, body: rest.subarray(0, -4) };
    if (type === blockType.interfaceDescription) addInterface(section, block);
    else {
      const packet = packetOf(section, type, block, latest);
      latest = packet.timestampNs;
      yield packet;
    }
  }
}

async function readSectionHeader(source: ByteSource, at: number, head: Uint8Array): Promise<Section> {
  const magic = await source.read(4);
  if (magic === undefined) throw truncated(source, at, "a section header", 28);
  const little = u32(magic, 0, true) === byteOrderMagic;
  if (!little && u32(magic, 0, false) !== byteOrderMagic)
    throw corrupt(at + 8, "a section has no byte-order magic");
  const length = u32(head, 4, little);
  if (length < 28 || length % 4 !== 0 || length > captureLimits.blockBytes)
    throw corrupt(at, `a section header claims a length of ${length}`);
  const rest = await source.read(length - 12);
  if (rest === undefined) throw truncated(source, at, "a section header", length);
  const section: Section = { little, interfaces: [] };
  checkTrailer(at, rest, length, section);
  const major = u16(rest, 0, little);
  if (major !== 1)
    throw flowsFail(
      "X0_FLOWS_CAPTURE_UNSUPPORTED",
      `the section at byte ${at} is pcapng version ${major}.${u16(rest, 2, little)}, not 1`,
      { hint: "rewrite it: editcap -F pcapng OLD NEW" },
    );
  return section;
}

async function skipBlock(source: ByteSource, at: number, length: number, section: Section): Promise<void> {
  const trailer = (await source.skip(length - 12)) ? await source.read(4) : undefined;
  if (trailer === undefined) throw truncated(source, at, "a block", length);
  checkTrailer(at, trailer, length, section);
}

function checkTrailer(at: number, rest: Uint8Array, length: number, { little }: Section): void {
  const trailing = u32(rest, rest.length - 4, little);
  if (trailing !== length)
    throw corrupt(at, `a block's lengths differ: ${length} before it, ${trailing} behind it`);
}

function addInterface({ interfaces, little }: Section, { at, body }: Block): void {
  if (body.length < 8) throw corrupt(at, `an interface block has ${body.length} bytes of 8`);
  if (interfaces.length === captureLimits.interfaces)
    throw corrupt(at, `a section has more than ${captureLimits.interfaces} interfaces`);
  let name: string | undefined;
  let unitsPerSecond = 1_000_000n;
  let offsetNs = 0n;
  for (const { code, value } of options(little, at, body.subarray(8))) {
    if (code === option.name) {
      if (value.length > captureLimits.nameBytes)
        throw corrupt(
          at,
          `an interface's name has ${value.length} bytes; at most ${captureLimits.nameBytes} are read`,
        );
      name = Buffer.from(value).toString("utf8").replace(/\0+$/, "");
    } else if (code === option.timestampResolution && value.length === 1) {
      const exponent = value[0] as number;
      unitsPerSecond = exponent & 0x80 ? 2n ** BigInt(exponent & 0x7f) : 10n ** BigInt(exponent);
    } else if (code === option.timestampOffset && value.length === 8) {
      const view = new DataView(value.buffer, value.byteOffset, 8);
      offsetNs = view.getBigInt64(0, little) * nsPerSecond;
    }
  }
  interfaces.push({
    linkType: u16(body, 0, little),
    snapLength: u32(body, 4, little),
    name,
    unitsPerSecond,
    offsetNs,
  });
}

function* options(
  little: boolean,
  at: number,
  bytes: Uint8Array,
): Generator<{ code: number; value: Uint8Array }> {
  let count = 0;
  for (let start = 0; start + 4 <= bytes.length; ) {
    const code = u16(bytes, start, little);
    const length = u16(bytes, start + 2, little);
    if (code === option.end) return;
    if (++count > captureLimits.options)
      throw corrupt(at, `a block has more than ${captureLimits.options} options`);
    if (start + 4 + length > bytes.length)
      throw corrupt(at, `option ${code} claims ${length} bytes beyond its block`);
    yield { code, value: bytes.subarray(start + 4, start + 4 + length) };
    start += 4 + Math.ceil(length / 4) * 4;
  }
}

/** @param latest time of the packet before: simple packets have none of their own. */
function packetOf(section: Section, type: number, block: Block, latest: bigint): CapturedPacket {
  const { at, body } = block;
  const { little } = section;
  const fixed = type === blockType.simplePacket ? 4 : 20;
  if (body.length < fixed) throw corrupt(at, `a packet block has ${body.length} bytes of ${fixed}`);
  if (type === blockType.simplePacket) {
    const from = interfaceOf(section, at, 0);
    const original = u32(body, 0, little);
    const snapped = from.snapLength === 0 ? original : Math.min(original, from.snapLength);
    return captured(block, from, latest, 4, snapped, original);
  }
  const id = type === blockType.packet ? u16(body, 0, little) : u32(body, 0, little);
  const from = interfaceOf(section, at, id);
  const units = (BigInt(u32(body, 4, little)) << 32n) | BigInt(u32(body, 8, little));
  const timestampNs = (units * nsPerSecond) / from.unitsPerSecond + from.offsetNs;
  if (timestampNs < 0n || timestampNs > latestNs)
    throw corrupt(at, "a packet's time is outside of 1970 to 9999");
  return captured(block, from, timestampNs, 20, u32(body, 12, little), u32(body, 16, little));
}

function interfaceOf({ interfaces }: Section, at: number, id: number): Interface {
  const found = interfaces[id];
  if (found === undefined)
    throw corrupt(at, `a packet names interface ${id}; its section has ${interfaces.length}`);
  return found;
}

function captured(
  { at, body }: Block,
  from: Interface,
  timestampNs: bigint,
  start: number,
  length: number,
  original: number,
): CapturedPacket {
  checkLengths(at, length, original);
  if (start + length > body.length)
    throw corrupt(at, `a packet claims ${length} bytes; its block has room for ${body.length - start}`);
  return {
    timestampNs,
    linkType: from.linkType,
    data: body.subarray(start, start + length),
    originalLength: Math.max(original, length),
    ...(from.name === undefined ? {} : { interfaceName: from.name }),
  };
}
