import { errorsOf, type Fail } from "@x0tta6bl4/core";

export const flowsErrors = {
  X0_FLOWS_CAPTURE_CORRUPT: { when: "A capture file contradicts its own format.", exit: 1 },
  X0_FLOWS_CAPTURE_TRUNCATED: { when: "A capture file ends in the middle of a record.", exit: 1 },
  X0_FLOWS_CAPTURE_UNREADABLE: { when: "A capture file cannot be opened or read.", exit: 1 },
  X0_FLOWS_CAPTURE_UNSUPPORTED: {
    when: "A file is no capture that x0 reads, or holds no IP link type.",
    exit: 1,
  },
  X0_FLOWS_HUBBLE_LISTEN: {
    when: "The Hubble API cannot listen where the configuration says.",
    exit: 1,
  },
  X0_FLOWS_HUBBLE_METRICS: {
    when: "flows.hubble_metrics names what is no metric or option of Hubble.",
    exit: 1,
  },
  X0_FLOWS_INVALID_FILTER: { when: "A filter of flows has a value that it cannot have.", exit: 2 },
  X0_FLOWS_KERNEL_CALL: { when: "The kernel refused a call that flow observation needs.", exit: 3 },
  X0_FLOWS_KERNEL_TOO_OLD: { when: "The kernel lacks what a setting demands.", exit: 3 },
  X0_FLOWS_NAMESPACE: { when: "A configured network namespace cannot be opened.", exit: 1 },
  X0_FLOWS_NAMESPACE_FORBIDDEN: {
    when: "A configured network namespace may not be entered with these privileges.",
    exit: 3,
  },
  X0_FLOWS_NO_HISTORY: { when: "The history is asked for while none is kept.", exit: 3 },
  X0_FLOWS_NO_LIBC: { when: "The C library cannot be reached.", exit: 3 },
  X0_FLOWS_NOT_LINUX: { when: "Flows are to be observed on a system that is not Linux.", exit: 3 },
  X0_FLOWS_OFF: { when: "Flows are asked for while they are not observed.", exit: 3 },
  X0_FLOWS_PACKETS_BUSY: { when: "Packets are to be captured while another capture runs.", exit: 1 },
  X0_FLOWS_PACKETS_FAILED: { when: "A packet capture ended before its time.", exit: 1 },
  X0_FLOWS_PACKETS_TERMINAL: { when: "A packet capture would be written to a terminal.", exit: 2 },
  X0_FLOWS_PACKETS_UNWRITABLE: { when: "The file of a packet capture cannot be written.", exit: 1 },
  X0_FLOWS_POLICY_DECLINED: {
    when: "The question before a reset of all policy was not answered with yes.",
    exit: 1,
  },
  X0_FLOWS_POLICY_FELL_BACK: { when: "A policy that was just applied was not confirmed.", exit: 1 },
  X0_FLOWS_POLICY_MALFORMED: { when: "A file of policies is not what Cilium would take.", exit: 1 },
  X0_FLOWS_POLICY_NOT_ENFORCED: {
    when: "A policy is to fall back by itself where none can be enforced.",
    exit: 3,
  },
  X0_FLOWS_POLICY_NOT_WAITING: {
    when: "Nothing waits for the confirmation that is given or refused.",
    exit: 1,
  },
  X0_FLOWS_POLICY_OFF: { when: "Policies are asked for while the agent does not keep them.", exit: 1 },
  X0_FLOWS_POLICY_PINNED: {
    when: "What `--pin` asks for cannot be named in the kernel, or cannot be taken away again.",
    exit: 3,
  },
  X0_FLOWS_POLICY_TOO_LARGE: {
    when: "Policies need more entries, or more states to match names, than the kernel's tables may hold.",
    exit: 1,
  },
  X0_FLOWS_POLICY_UNCONFIRMED: {
    when: "A policy is to be applied or deleted while another waits for its confirmation.",
    exit: 1,
  },
  X0_FLOWS_POLICY_UNKNOWN: { when: "No policy that is applied has this name.", exit: 2 },
  X0_FLOWS_POLICY_UNREADABLE: { when: "A file of policies cannot be opened or read.", exit: 1 },
  X0_FLOWS_POLICY_UNSUPPORTED: { when: "A file of policies has a field that x0 does not enforce.", exit: 3 },
  X0_FLOWS_POLICY_WOULD_DENY: {
    when: "Policies that are rehearsed would drop connections that were recorded.",
    exit: 1,
  },
  X0_FLOWS_PROGRAMS_DAMAGED: { when: "A file of BPF programs is not what was installed.", exit: 1 },
  X0_FLOWS_REPLAY_ENDED: {
    when: "A replay of recorded flows ended before its time, because nobody waited for it.",
    exit: 1,
  },
  X0_FLOWS_UNEXPECTED_ANSWER: { when: "The agent's answer is not of the shape that this x0 knows.", exit: 1 },
} as const;

export const flowsFail: Fail<typeof flowsErrors> = errorsOf(flowsErrors);
