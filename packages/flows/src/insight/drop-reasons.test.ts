import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { requireKernel } from "../../../../test/lab/index.ts";
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

  test("of the running kernel", async (context) => {
    await requireKernel(context, "btf");
    const reasons = kernelDropReasons();
    const names = Array.from({ length: 300 }, (_, reason) => reasons.name(reason));
    const named = names.filter((name) => !/^REASON_\d+$/.test(name));
    expect(named).toHaveLength(reasons.known);
    expect(new Set(named).size).toBe(named.length);
    // Those of Linux 5.17, the first.
    expect(named).toEqual(
      expect.arrayContaining(["NOT_SPECIFIED", "NO_SOCKET", "TCP_CSUM", "SOCKET_FILTER", "UDP_CSUM"]),
    );
    for (const name of named) expect(name).toMatch(/^[A-Z][A-Z0-9_]+$/);
  });
});
