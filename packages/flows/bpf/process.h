/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who a task is. Kernel structs name only the fields that we read; CO-RE finds their places at load time. */
#pragma once
#include "maps.h"
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct qstr {
	const unsigned char *name;
};
struct dentry {
	struct qstr d_name;
};
struct path {
	struct dentry *dentry;
};
struct file {
	struct path f_path;
};
struct mm_struct {
	struct file *exe_file;
};
struct task_struct {
	int tgid;
	__u64 start_boottime;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	char comm[16];
};
#pragma clang attribute pop

/* Remembers a process under the key that this returns. */
static __always_inline __u64 remember_process(struct task_struct *task, __u64 cgroup)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	__u64 start = BPF_CORE_READ(leader, start_boottime);
	__u64 key = (__u64)BPF_CORE_READ(task, tgid) << 32 | (__u32)(start >> 20);
	struct process fresh = { .start_ns = start, .cgroup = cgroup };
	bpf_probe_read_kernel(fresh.comm, sizeof(fresh.comm), &leader->comm);
	struct process *known = bpf_map_lookup_elem(&processes, &key);
	/* exec keeps pid and start time but changes the name. */
	const __u64 *before = known ? (const __u64 *)known->comm : 0, *now = (const __u64 *)fresh.comm;
	if (known && before[0] == now[0] && before[1] == now[1] && known->cgroup == cgroup)
		return key;
	const unsigned char *name = BPF_CORE_READ(leader, mm, exe_file, f_path.dentry, d_name.name);
	if (name)
		bpf_probe_read_kernel_str(fresh.executable, sizeof(fresh.executable), name);
	bpf_map_update_elem(&processes, &key, &fresh, BPF_ANY);
	return key;
}
