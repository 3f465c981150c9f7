/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Finds the owners of sockets that are older than the agent: one walk over the open files of all tasks. */
#include "process.h"

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

char LICENSE[] SEC("license") = "Dual BSD/GPL";
