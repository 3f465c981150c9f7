/** What a section's name says of its programs, as in libbpf: Documentation/bpf/libbpf/program_types.rst. */
import type { ProgramDefinition } from "../../packages/flows/src/kernel/object.ts";
import { kind } from "./btf.ts";

type Hook = Pick<ProgramDefinition, "type" | "attachType" | "kernelType">;

/** Numbers of `enum bpf_prog_type` and `enum bpf_attach_type`. */
const exact: Readonly<Record<string, readonly [type: number, attachType: number]>> = {
  "cgroup/connect4": [18, 10],
  "cgroup/connect6": [18, 11],
  "cgroup/sendmsg4": [18, 14],
  "cgroup/sendmsg6": [18, 15],
  "cgroup/sock_create": [9, 2],
  "cgroup_skb/ingress": [8, 0],
  "cgroup_skb/egress": [8, 1],
  sockops: [13, 3],
  tc: [3, 0],
  uprobe: [2, 0],
  uretprobe: [2, 0],
};

/** @throws where the table does not have the section yet */
export function hookOf(section: string): Hook {
  const [, prefix, name] = /^(raw_tp|tp_btf|iter)\/(.+)$/.exec(section) ?? [];
  if (prefix === "raw_tp") return { type: 17, attachType: 0 };
  if (prefix === "tp_btf")
    return { type: 26, attachType: 23, kernelType: { kind: kind.typedef, name: `btf_trace_${name}` } };
  if (prefix === "iter")
    return { type: 26, attachType: 28, kernelType: { kind: kind.function, name: `bpf_iter_${name}` } };
  const found = exact[section];
  if (found === undefined) throw new Error(`section ${section}: say in section-types.ts what it is`);
  return { type: found[0], attachType: found[1] };
}
