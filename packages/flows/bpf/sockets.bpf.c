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
	owner->settled = program != PROGRAM_SOCKET;
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

/* A function of its own so that BTF, and with it src/generated/layout.ts, knows the event. */
static __noinline int fill_tcp(struct tcp_event *event, const struct owner *owner)
{
	if (!event || !owner)
		return 0;
	event->type = EVENT_TCP;
	event->side = owner->side;
	event->id = owner->flow;
	event->connect_us = owner->connect_us;
	return 0;
}

/* The flow is not known before the socket has sent in it: then there is nothing to tell yet. */
static __always_inline void tell_tcp(struct bpf_sock_ops *ctx, struct owner *owner, struct totals *totals)
{
	if (!owner->flow)
		return;
	struct tcp_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		if (totals)
			totals->lost++;
		return;
	}
	fill_tcp(event, owner);
	event->srtt_us = ctx->srtt_us >> 3;
	event->min_rtt_us = ctx->rtt_min;
	event->retransmits = ctx->total_retrans;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

/* What changes in between is told by the packets that it sends (insight.h): the kernel could also call at each
 * acknowledgement, which would cost more than to count its packets. */
SEC("sockops")
int x0_connection(struct bpf_sock_ops *ctx)
{
	__u32 op = ctx->op;
	if (op != BPF_SOCK_OPS_STATE_CB && op != BPF_SOCK_OPS_TCP_CONNECT_CB &&
	    op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	if (op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] != BPF_TCP_CLOSE)
		return 1;
	struct bpf_sock *sk = ctx->sk;
	if (!sk)
		return 1;
	struct owner *owner = bpf_sk_storage_get(&owners, sk, 0, 0);
	if (!owner)
		return 1;
	struct totals *totals = totals_of(PROGRAM_CONNECTION);
	if (totals)
		totals->events++;
	switch (op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		owner->syn_ns = bpf_ktime_get_ns();
		return 1;
	case BPF_SOCK_OPS_STATE_CB:
		tell_tcp(ctx, owner, totals);
		return 1;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		/* It got a copy of its listener's storage: the process may be right, all else is not. */
		owner->cookie = bpf_get_socket_cookie(ctx);
		owner->flow = 0;
		owner->settled = 0;
		owner->connect_us = 0;
		break;
	default:
		if (owner->syn_ns)
			owner->connect_us = (bpf_ktime_get_ns() - owner->syn_ns) / 1000;
		tell_tcp(ctx, owner, totals);
	}
	bpf_sock_ops_cb_flags_set(ctx, BPF_SOCK_OPS_STATE_CB_FLAG);
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
