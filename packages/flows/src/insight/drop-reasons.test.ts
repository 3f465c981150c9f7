import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { kernelDropReasons } from "./drop-reasons.ts";
import { enumerationBtf } from "./testing/btf-bytes.ts";

const folder = mkdtempSync(join(tmpdir(), "x0-btf-"));
afterAll(() => rmSync(folder, { recursive: true }));
const put = (name: string, bytes: Uint8Array): string => {
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
};

const core: [string, number][] = [
  ["SKB_NOT_DROPPED_YET", 0],
  ["SKB_CONSUMED", 1],
  ["SKB_DROP_REASON_NOT_SPECIFIED", 2],
  ["SKB_DROP_REASON_NO_SOCKET", 3],
  ["SKB_DROP_REASON_MAX", 4],
  ["SKB_DROP_REASON_SUBSYS_MASK", 0xffff0000],
];
const subsystems: [string, number][] = [
  ["SKB_DROP_REASON_SUBSYS_CORE", 0],
  ["SKB_DROP_REASON_SUBSYS_MAC80211_UNUSABLE", 1],
  ["SKB_DROP_REASON_SUBSYS_OPENVSWITCH", 2],
];
const vmlinux = enumerationBtf([
  ["other", [["SKB_DROP_REASON_NOT_SPECIFIED", 9]]],
  ["skb_drop_reason", core],
  ["skb_drop_reason_subsys", subsystems],
]);

const path = "/sys/kernel/btf/vmlinux";
const hasBtf = existsSync(path);
if (!hasBtf) process.stderr.write("skipped: this kernel has no BTF\n");

describe("names", () => {
  test("of the kernel's, its subsystems', and what has none", () => {
    const reasons = kernelDropReasons(put("vmlinux", vmlinux.bytes));
    const shown = [0, 1, 2, 3, 4, 999, 0x1_0003, 0x2_0001, 0x7_0001].map((reason) => reasons.name(reason));
    expect(shown).toEqual([
      "NOT_DROPPED_YET",
      "CONSUMED",
      "NOT_SPECIFIED",
      "NO_SOCKET",
      "REASON_4",
      "REASON_999",
      "MAC80211_UNUSABLE_3",
      "OPENVSWITCH_1",
      "SUBSYSTEM_7_1",
    ]);
  });

  test("of a module, whose strings continue the kernel's", () => {
    const at = put("vmlinux", vmlinux.bytes);
    const values: [string, number][] = [
      ["__OVS_DROP_REASON", 0x2_0000],
      ["OVS_DROP_LAST_ACTION", 0x2_0001],
    ];
    put("openvswitch", enumerationBtf([["ovs_drop_reason", values]], vmlinux.stringBytes).bytes);
    expect(kernelDropReasons(at).name(0x2_0001)).toBe("OVS_DROP_LAST_ACTION");
    rmSync(join(folder, "openvswitch"));
  });

  test("of no file, and of none that is BTF", () => {
    for (const at of [
      join(folder, "missing"),
      put("text", Buffer.from("no BTF at all, but long enough to be")),
    ])
      expect(kernelDropReasons(at)).toMatchObject({ known: 0 });
    expect(kernelDropReasons(join(folder, "missing")).name(3)).toBe("REASON_3");
  });

  test.skipIf(!hasBtf)("of the running kernel, as bpftool reads them", () => {
    const { types } = JSON.parse(
      execFileSync("bpftool", ["btf", "dump", "file", path, "-j"], {
        encoding: "latin1",
        maxBuffer: 2 ** 28,
      }),
    ) as { types: { kind: string; name: string; values?: { name: string; val: number }[] }[] };
    const reasons = kernelDropReasons();
    const dumped =
      types.find(({ kind, name }) => kind === "ENUM" && name === "skb_drop_reason")?.values ?? [];
    expect(dumped.length).toBeGreaterThan(30);
    for (const { name, val } of dumped)
      if (!/_(MAX|MASK)$/.test(name))
        expect(`SKB_DROP_REASON_${reasons.name(val)}`).toContain(name.slice(16));
    expect(reasons.known).toBe(dumped.length - 2);
  });
});
