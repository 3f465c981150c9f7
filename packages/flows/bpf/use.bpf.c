/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who uses a socket. The tracepoints came with Linux 6.3; older kernels get the object without this file. */
#include "process.h"
#include <bpf/bpf_tracing.h>

#define AF_INET 2
#define AF_INET6 10

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct sock_common {
	unsigned short skc_family;
};
struct sock {
	struct sock_common __sk_common;
};
#pragma clang attribute pop

/*
 * Who sends or receives is who owns: a worker that accepted from a socket which its parent listens on, a service
 * that got its socket from systemd. Only the first use of a socket asks.
 */
static __always_inline int use(struct sock *sk)
{
	__u16 family = sk->__sk_common.skc_family;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	struct owner *owner = bpf_sk_storage_get(&owners, sk, 0, 0);
	if (!owner || owner->settled)
		return 0;
	struct totals *totals = totals_of(PROGRAM_USED);
	if (totals)
		totals->events++;
	owner->settled = 1;
	owner->process = remember_process((void *)bpf_get_current_task(), bpf_get_current_cgroup_id());
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(x0_received, struct sock *sk)
{
	return use(sk);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(x0_sent, struct sock *sk)
{
	return use(sk);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
