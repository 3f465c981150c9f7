/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Writes into each socket's own storage whose it is, in the context of the process that makes it or uses it:
 * the counting programs then read it from the packet's socket, also when the process is long gone.
 */
#include "process.h"

static __always_inline int own(void *sk, __u64 cookie, __u32 program)
{
	struct totals *totals = totals_of(program);
	if (totals)
		totals->events++;
	struct owner *owner = bpf_sk_storage_get(&owners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!owner) {
		if (totals)
			totals->lost++;
		return 1;
	}
	owner->cookie = cookie;
	owner->process = remember_process((void *)bpf_get_current_task(), bpf_get_current_cgroup_id());
	return 1;
}

SEC("cgroup/sock_create")
int x0_socket(struct bpf_sock *sk)
{
	return own(sk, bpf_get_socket_cookie(sk), PROGRAM_SOCKET);
}

static __always_inline int own_address(struct bpf_sock_addr *ctx, __u32 program)
{
	struct bpf_sock *sk = ctx->sk;
	return sk ? own(sk, bpf_get_socket_cookie(ctx), program) : 1;
}

SEC("cgroup/connect4")
int x0_connect4(struct bpf_sock_addr *ctx)
{
	return own_address(ctx, PROGRAM_CONNECT);
}

SEC("cgroup/connect6")
int x0_connect6(struct bpf_sock_addr *ctx)
{
	return own_address(ctx, PROGRAM_CONNECT);
}

SEC("cgroup/sendmsg4")
int x0_sendmsg4(struct bpf_sock_addr *ctx)
{
	return own_address(ctx, PROGRAM_SENDMSG);
}

SEC("cgroup/sendmsg6")
int x0_sendmsg6(struct bpf_sock_addr *ctx)
{
	return own_address(ctx, PROGRAM_SENDMSG);
}

/* An accepted connection got a copy of its listener's storage: the process is right, the cookie is not. */
SEC("sockops")
int x0_established(struct bpf_sock_ops *ctx)
{
	if (ctx->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	struct totals *totals = totals_of(PROGRAM_ESTABLISHED);
	if (totals)
		totals->events++;
	struct bpf_sock *sk = ctx->sk;
	if (!sk)
		return 1;
	struct owner *owner = bpf_sk_storage_get(&owners, sk, 0, 0);
	if (owner)
		owner->cookie = bpf_get_socket_cookie(ctx);
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
