/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Finds the owners of sockets that are older than the agent: one walk over the open files of all tasks. */
#include "process.h"
#include <bpf/bpf_tracing.h>

#define AF_INET 2
#define AF_INET6 10

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct kernfs_node {
	__u64 id;
};
struct cgroup {
	struct kernfs_node *kn;
};
struct css_set {
	struct cgroup *dfl_cgrp;
};
struct task_struct___cgroups {
	struct css_set *cgroups;
};
struct sock_common {
	unsigned short skc_family;
};
struct sock {
	struct sock_common __sk_common;
};
struct socket {
	struct sock *sk;
};
struct bpf_iter_meta;
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};
#pragma clang attribute pop

SEC("iter/task_file")
int x0_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	if (!task || !file)
		return 0;
	struct socket *socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	struct sock *sk = socket->sk;
	if (!sk)
		return 0;
	__u16 family = sk->__sk_common.skc_family;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	struct totals *totals = totals_of(PROGRAM_SOCKETS);
	if (totals)
		totals->events++;
	struct owner *owner = bpf_sk_storage_get(&owners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!owner)
		return 0;
	/* Tasks come by pid: a service that got its socket from pid 1 comes later and takes it over. */
	if (owner->process && owner->process >> 32 != 1)
		return 0;
	struct task_struct___cgroups *grouped = (void *)task;
	owner->cookie = bpf_get_socket_cookie(sk);
	owner->settled = 1;
	owner->process = remember_process(task, BPF_CORE_READ(grouped, cgroups, dfl_cgrp, kn, id));
	return 0;
}

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
