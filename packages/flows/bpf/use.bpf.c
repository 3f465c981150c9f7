/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who uses a socket. The tracepoints came with Linux 6.3; on older kernels these programs are not loaded. */
#include "process.h"
#include <bpf/bpf_tracing.h>

#define AF_INET 2
#define AF_INET6 10

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
typedef struct {
	__s64 counter;
} atomic64_t;
struct sock_common {
	unsigned short skc_family;
	atomic64_t skc_cookie;
};
struct sock {
	struct sock_common __sk_common;
};
#pragma clang attribute pop

#define SETTLED 4096 /* connections that are known at once: 32 kB, which stay in the cache */

/* Cookies of sockets whose owner is settled, each at its own place until another one takes it. Cookies are never used
 * again, and a socket's owner settles once: what stands here stays true. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SETTLED);
	__type(key, __u32);
	__type(value, __u64);
} settled SEC(".maps");

/*
 * Who sends or receives is who owns: a worker that accepted from a socket which its parent listens on, a service
 * that got its socket from systemd. Only the first use of a socket asks. This runs at each call of each process of
 * the host that sends or receives: what is settled shows by one look into memory that is shared by all, where the
 * socket's own storage lies behind three.
 */
static __always_inline int use(struct sock *sk)
{
	__u64 cookie = sk->__sk_common.skc_cookie.counter;
	__u32 place = cookie % SETTLED;
	__u64 *known = bpf_map_lookup_elem(&settled, &place);
	if (known && cookie && *known == cookie)
		return 0;
	__u16 family = sk->__sk_common.skc_family;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	struct owner *owner = bpf_sk_storage_get(&owners, sk, 0, 0);
	if (!owner)
		return 0;
	if (known)
		*known = cookie;
	if (owner->settled)
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
