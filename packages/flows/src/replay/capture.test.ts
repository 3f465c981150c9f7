import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { seededRandom, X0Error } from "@x0tta6bl4/core";
import { afterAll, describe, expect, test } from "vitest";
import {
  block,
  type PcapngOptions,
  type PcapOptions,
  pcap,
  pcapng,
  sectionHeader,
} from "../testing/captures.ts";
import { bytesOf, ethernet, ipv4, ipv6, tcp, udp } from "../testing/frames.ts";
import { readCapture, readCaptureBytes } from "./capture.ts";
import { captureLimits } from "./limits.ts";
import { decodePacket } from "./packet.ts";
import type { CapturedPacket } from "./pcap.ts";

const ports = { sourcePort: 5000, destinationPort: 53 };
const frames = [
  ethernet(ipv4({ source: "10.0.0.1", destination: "10.0.0.2" }, udp(ports, new Uint8Array(5)))),
  ethernet(ipv6({ source: "::1", destination: "::2" }, tcp({ ...ports, flags: 2 }))),
  ethernet(ipv4({ source: "10.0.0.1", destination: "10.0.0.2" }, udp(ports, new Uint8Array(1400)))),
];
const packets = frames.map((frame, index) => ({
  frame,
  timestampNs: 1_767_225_600_123_456_000n + BigInt(index) * 1_000_001_000n,
}));

interface Outcome {
  readonly read: CapturedPacket[];
  readonly error: unknown;
}

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function readAll(bytes: Uint8Array, chunk = 65_536): Promise<Outcome> {
  const read: CapturedPacket[] = [];
  try {
    for await (const packet of readCaptureBytes(inChunks(bytes, chunk))) read.push(packet);
  } catch (error) {
    return { read, error };
  }
  return { read, error: undefined };
}

function expectAll({ read, error }: Outcome, times = packets.map((packet) => packet.timestampNs)): void {
  expect(error).toBeUndefined();
  expect(read.map((packet) => Buffer.from(packet.data))).toEqual(frames.map((frame) => Buffer.from(frame)));
  expect(read.map((packet) => packet.timestampNs)).toEqual(times);
  expect(read.map((packet) => packet.originalLength)).toEqual(frames.map((frame) => frame.length));
}

const pcapForms: [string, PcapOptions][] = [
  ["little-endian µs", {}],
  ["big-endian µs", { big: true }],
  ["little-endian ns", { nanoseconds: true }],
  ["big-endian ns", { nanoseconds: true, big: true }],
];
const pcapngForms: [string, PcapngOptions][] = [
  ["little-endian", {}],
  ["big-endian", { big: true }],
  ["ns", { interfaces: [{ resolution: 9 }] }],
  ["10^-12 s, offset", { interfaces: [{ resolution: 12, offsetSeconds: 1_767_225_000n }] }],
  ["old packet blocks", { packetBlock: "obsolete" }],
  ["old packet blocks, big-endian", { packetBlock: "obsolete", big: true }],
];

describe("golden captures, in chunks of every size", () => {
  test.each(pcapForms)("pcap %s", async (_, options) => {
    for (const chunk of [1, 3, 64, 65_536]) expectAll(await readAll(pcap(packets, options), chunk));
  });

  test.each(pcapngForms)("pcapng %s", async (_, options) => {
    for (const chunk of [1, 3, 64, 65_536]) expectAll(await readAll(pcapng(packets, options), chunk));
  });

  test("gzip'd, in two members", async () => {
    const bytes = pcapng(packets);
    const zipped = bytesOf(gzipSync(bytes.subarray(0, 100)), gzipSync(bytes.subarray(100)));
    for (const chunk of [1, 100, 65_536]) expectAll(await readAll(zipped, chunk));
  });

  test("timestamps in powers of two", async () => {
    const { read } = await readAll(pcapng([packets[0]!], { interfaces: [{ resolution: 0x80 | 20 }] }));
    expect(Number(read[0]!.timestampNs - packets[0]!.timestampNs)).toBeCloseTo(0, -4);
  });

  test("simple packets take the time of the packet before and the interface's snapshot length", async () => {
    const timed = pcapng([packets[0]!], { interfaces: [{ snapLength: 60 }] });
    const simple = block(3, [Uint8Array.of(200, 0, 0, 0), frames[2]!.subarray(0, 60)]);
    const { read, error } = await readAll(bytesOf(timed, simple));
    expect(error).toBeUndefined();
    expect(read[1]).toMatchObject({ timestampNs: packets[0]!.timestampNs, originalLength: 200 });
    expect(read[1]!.data).toHaveLength(60);
  });

  test("sections have interfaces, names and byte orders of their own; unknown blocks are skipped", async () => {
    const unknown = block(0x0bad, [new Uint8Array(200_000)]);
    const first = pcapng([packets[0]!], { interfaces: [{ name: "eth0" }] });
    const second = pcapng([{ ...packets[1]!, interfaceId: 1 }], {
      big: true,
      interfaces: [{ name: "lo" }, { name: "wg0", linkType: 101, resolution: 9 }],
    });
    const third = pcapng([packets[2]!]);
    const outcome = await readAll(
      bytesOf(first, unknown, second, block(0x0bad, [new Uint8Array(40)], true), third),
    );
    expectAll(outcome);
    expect(outcome.read.map((packet) => packet.interfaceName)).toEqual(["eth0", "wg0", undefined]);
    expect(outcome.read.map((packet) => packet.linkType)).toEqual([1, 101, 1]);
  });

  test("a snapped packet keeps its length on the wire", async () => {
    const snapped = { frame: frames[2]!.subarray(0, 64), timestampNs: 0n, originalLength: frames[2]!.length };
    for (const bytes of [pcap([snapped]), pcapng([snapped])]) {
      const { read } = await readAll(bytes);
      expect(read[0]).toMatchObject({ originalLength: frames[2]!.length });
      expect(decodePacket(1, read[0]!.data, read[0]!.originalLength)?.bytes).toBe(frames[2]!.length - 14);
    }
  });
});

function expectError({ error }: Outcome, code: string, message: RegExp): void {
  expect(error).toBeInstanceOf(X0Error);
  expect(error).toMatchObject({ code, exit: 1, hint: expect.any(String) });
  expect((error as X0Error).message).toMatch(message);
}

/** A copy with 32-bit little-endian words replaced. */
function patched(bytes: Uint8Array, words: Readonly<Record<number, number>>): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  for (const [at, word] of Object.entries(words)) view.setUint32(Number(at), word, true);
  return copy;
}

describe("cut anywhere: what is complete is read, then one error with the offset", () => {
  test.each([
    ["pcap", pcap(packets)],
    ["pcapng", pcapng(packets)],
  ])("%s", async (_, bytes) => {
    const whole = await readAll(bytes);
    let complete = 0;
    for (let size = 0; size < bytes.length; size++) {
      const { read, error } = await readAll(bytes.subarray(0, size));
      expect(read.length).toBeGreaterThanOrEqual(complete);
      complete = read.length;
      if (error === undefined) continue; // Cut between two records, the file is whole.
      expectError({ read, error }, "X0_FLOWS_CAPTURE_TRUNCATED", new RegExp(`ends at byte ${size}: `));
    }
    expect(complete).toBe(whole.read.length - 1);
  });

  test("gzip", async () => {
    const zipped = gzipSync(pcap(Array.from({ length: 200 }, () => packets[2]!)), { level: 0 });
    const { read, error } = await readAll(zipped.subarray(0, zipped.length >> 1));
    expect(read.length).toBeGreaterThan(50);
    expectError({ read, error }, "X0_FLOWS_CAPTURE_TRUNCATED", /gzip stream ends at byte/);
  });
});

describe("lies", () => {
  const file = pcap(packets);
  const ng = pcapng(packets);
  const idbAt = sectionHeader().length;
  const epbAt = idbAt + 24;
  const limits = captureLimits;
  const option = (code: number, length: number) =>
    bytesOf([code, 0, length & 0xff, length >> 8], new Uint8Array(Math.ceil(length / 4) * 4));
  const withOptions = (...options: Uint8Array[]) =>
    bytesOf(sectionHeader(), block(1, [new Uint8Array(8), ...options]));

  test.each<[string, Uint8Array, RegExp]>([
    [
      "capturedBytes in pcap",
      patched(file, { 32: limits.capturedBytes + 1 }),
      /byte 24: a packet claims 262145 captured/,
    ],
    [
      "capturedBytes in pcapng",
      patched(ng, { [epbAt + 20]: 0xffffffff }),
      /claims 4294967295 captured bytes/,
    ],
    ["originalBytes in pcap", patched(file, { 36: limits.originalBytes + 1 }), /claims 1048577 bytes/],
    [
      "originalBytes in pcapng",
      patched(ng, { [epbAt + 24]: limits.originalBytes + 1 }),
      /claims 1048577 bytes/,
    ],
    ["a packet beyond its block", patched(ng, { [epbAt + 20]: 1000 }), /its block has room for 48/],
    ["blockBytes", patched(ng, { [epbAt + 4]: limits.blockBytes + 4 }), /a block claims 327684 bytes/],
    [
      "blockBytes of a section",
      patched(ng, { 4: limits.blockBytes + 4 }),
      /section header claims a length of 327684/,
    ],
    ["a length that is no multiple of 4", patched(ng, { [epbAt + 4]: 61 }), /claims a length of 61/],
    ["a length below 12", patched(ng, { [epbAt + 4]: 8 }), /claims a length of 8/],
    [
      "a block's two lengths",
      patched(ng, { [epbAt - 4]: 24 + 4 }),
      /lengths differ: 24 before it, 28 behind it/,
    ],
    [
      "an interface that is not there",
      patched(ng, { [epbAt + 8]: 1 }),
      /names interface 1; its section has 1/,
    ],
    ["no byte-order magic", patched(ng, { 8: 0 }), /no byte-order magic/],
    [
      "options",
      withOptions(...Array.from({ length: limits.options + 1 }, () => option(3, 0))),
      /more than 256 options/,
    ],
    ["an option beyond its block", withOptions(Uint8Array.of(3, 0, 200, 0)), /option 3 claims 200 bytes/],
    ["nameBytes", withOptions(option(2, limits.nameBytes + 1)), /name has 257 bytes/],
    [
      "timestampSeconds",
      pcapng([{ frame: frames[0]!, timestampNs: BigInt(limits.timestampSeconds + 1) * 1_000_000_000n }]),
      /outside of 1970 to 9999/,
    ],
    [
      "a time before 1970",
      pcapng([{ frame: frames[0]!, timestampNs: -5_000_000_000n }], { interfaces: [{ offsetSeconds: -9n }] }),
      /outside of 1970 to 9999/,
    ],
  ])("%s", async (_, bytes, message) => {
    expectError(await readAll(bytes), "X0_FLOWS_CAPTURE_CORRUPT", message);
  });

  test("interfaces", async () => {
    const one = block(1, [new Uint8Array(8)]);
    async function* many() {
      yield sectionHeader();
      for (let count = 0; count <= limits.interfaces; count++) yield one;
    }
    const reading = (async () => {
      for await (const _ of readCaptureBytes(many()));
    })();
    await expect(reading).rejects.toMatchObject({
      code: "X0_FLOWS_CAPTURE_CORRUPT",
      message: /65536 interfaces/,
    });
  });

  test("an original length below the captured one is taken as equal", async () => {
    const { read, error } = await readAll(patched(file, { 36: 3 }));
    expect(error).toBeUndefined();
    expect(read[0]!.originalLength).toBe(frames[0]!.length);
  });

  test.each<[string, number, (zipped: Uint8Array) => Uint8Array]>([
    ["second member", 3, (zipped) => bytesOf(zipped, [0x1f, 0x8b, 0xff, 0xff])],
    // What lies in the faulty piece of input itself is lost.
    ["checksum", 2, (zipped) => zipped.with(-5, zipped.at(-5)! ^ 1)],
  ])("a gzip with a wrong %s gives what came before", async (_, complete, damage) => {
    const outcome = await readAll(damage(gzipSync(pcap(packets))), 10);
    expect(outcome.read).toHaveLength(complete);
    expectError(outcome, "X0_FLOWS_CAPTURE_CORRUPT", /gzip stream is corrupt/);
  });
});

describe("no capture", () => {
  test.each<[string, Uint8Array, string, RegExp]>([
    ["an empty file", new Uint8Array(0), "X0_FLOWS_CAPTURE_TRUNCATED", /ends at byte 0/],
    ["two bytes", Uint8Array.of(0xd4, 0xc3), "X0_FLOWS_CAPTURE_TRUNCATED", /ends at byte 2/],
    ["text", Buffer.from("hello\n"), "X0_FLOWS_CAPTURE_UNSUPPORTED", /begins with 68656c6c/],
    [
      "gzip'd text",
      gzipSync("hello\n"),
      "X0_FLOWS_CAPTURE_UNSUPPORTED",
      /inflated file begins with 68656c6c/,
    ],
    [
      "modified pcap",
      Uint8Array.of(0x34, 0xcd, 0xb2, 0xa1),
      "X0_FLOWS_CAPTURE_UNSUPPORTED",
      /"modified" pcap/,
    ],
    ["pcap 2.3", patched(pcap([]), { 4: 0x00030002 }), "X0_FLOWS_CAPTURE_UNSUPPORTED", /version 2.3/],
    ["pcapng 2.0", patched(sectionHeader(), { 12: 2 }), "X0_FLOWS_CAPTURE_UNSUPPORTED", /version 2.0/],
  ])("%s", async (_, bytes, code, message) => {
    expectError(await readAll(bytes), code, message);
  });
});

describe("files", () => {
  const folder = mkdtempSync(join(tmpdir(), "x0-capture-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "a.pcap");
  writeFileSync(path, pcap(packets));

  async function read(from: string, signal?: AbortSignal): Promise<Outcome> {
    const read: CapturedPacket[] = [];
    try {
      for await (const packet of readCapture(from, signal === undefined ? {} : { signal })) read.push(packet);
    } catch (error) {
      return { read, error };
    }
    return { read, error: undefined };
  }

  test("a path", async () => expectAll(await read(path)));

  test.each([
    ["a missing file", join(folder, "none.pcap"), /ENOENT/],
    ["a folder", folder, /EISDIR/],
  ])("%s", async (_, from, message) => {
    expectError(await read(from), "X0_FLOWS_CAPTURE_UNREADABLE", message);
  });

  test("an aborted signal ends the reading", async () => {
    expect(await read(path, AbortSignal.abort())).toMatchObject({ read: [], error: { name: "AbortError" } });
  });

  test("leaving early closes the file", async () => {
    let returned = false;
    async function* chunks() {
      try {
        for (;;) yield pcap(packets);
      } finally {
        returned = true;
      }
    }
    for await (const _ of readCaptureBytes(chunks())) break;
    expect(returned).toBe(true);
  });

  test("memory does not grow with the file", async () => {
    const header = pcap([]);
    const record = pcap([{ frame: new Uint8Array(65_000), timestampNs: 0n }]).subarray(24);
    async function* gigabyte() {
      yield header;
      for (let count = 0; count < 16_000; count++) yield record;
    }
    let count = 0;
    let most = 0;
    const before = process.memoryUsage().arrayBuffers;
    for await (const _ of readCaptureBytes(gigabyte()))
      if (++count % 1000 === 0) most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    expect(count).toBe(16_000);
    expect(most).toBeLessThan(256 * 2 ** 20);
  });
});

test("tcpdump reads our golden files", () => {
  const folder = mkdtempSync(join(tmpdir(), "x0-capture-"));
  try {
    const path = join(folder, "a.pcap");
    for (const bytes of [
      ...pcapForms.map(([, o]) => pcap(packets, o)),
      ...pcapngForms.map(([, o]) => pcapng(packets, o)),
    ]) {
      writeFileSync(path, bytes);
      const out = execFileSync("tcpdump", ["-nnr", path], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      });
      expect(out.trim().split("\n")).toHaveLength(packets.length);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe("fuzzing: mutated files end in packets or an X0Error", () => {
  const seeds = [
    ...pcapForms.map(([, o]) => pcap(packets, o)),
    ...pcapngForms.map(([, o]) => pcapng(packets, o)),
  ];
  seeds.push(gzipSync(pcapng(packets)));

  test.each([1, 2, 3, 4])("seed %i", async (seed) => {
    const random = seededRandom(seed);
    const interesting = [0, 1, 4, 12, 0x7f, 0x80, 0xff];
    for (let round = 0; round < 1500; round++) {
      let bytes: Uint8Array = seeds[random.below(seeds.length)]!.slice();
      for (let count = 1 + random.below(6); count > 0; count--) {
        const at = random.below(bytes.length);
        const kind = random.below(4);
        if (kind === 0) bytes[at] = random.below(256);
        else if (kind === 1) bytes[at] = interesting[random.below(interesting.length)]!;
        else if (kind === 2) bytes = bytes.slice(0, Math.max(at, 4));
        else bytes = bytesOf(bytes.subarray(0, at), bytes.subarray(at >> 1, at), bytes.subarray(at));
      }
      const { read, error } = await readAll(bytes, 1 + random.below(200));
      if (error !== undefined) expect(error, `round ${round}`).toBeInstanceOf(X0Error);
      for (const { data, linkType, originalLength, timestampNs } of read) {
        expect(data.length).toBeLessThanOrEqual(bytes.length * 1032);
        const packet = decodePacket(linkType, data, originalLength);
        expect(packet?.bytes ?? 0).toBeLessThanOrEqual(captureLimits.originalBytes);
        expect(Number.isNaN(new Date(Number(timestampNs / 1_000_000n)).getTime())).toBe(false);
      }
    }
  });
});
