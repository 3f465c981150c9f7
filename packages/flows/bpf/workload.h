/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The policies of local workloads: systemd units and containers, told by the cgroup of a packet's socket. What the
 * node's policy lets pass is judged here for the process that sends or receives it.
 */
#pragma once
#include "policy.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define CGROUP_LEVELS 8 /* a unit in a slice in a slice in a user's manager */
#define CGROUP_PATH_BYTES 256

/* Id of a cgroup → endpoint. */
X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u32);
} workloads SEC(".maps");

struct cgroup_path {
	char text[CGROUP_PATH_BYTES];
};

/* Path of a cgroup that comes again under the same name, as a unit's does → endpoint. */
X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct cgroup_path);
	__type(value, __u32);
} workload_paths SEC(".maps");

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgroup_path);
} made_path SEC(".maps");

/* The innermost workload that a packet's socket belongs to, 0 for none. */
static __always_inline __u32 workload_of(struct __sk_buff *skb)
{
	__u32 found = 0;
	for (int level = 1; level < CGROUP_LEVELS; level++) {
		__u64 id = bpf_skb_ancestor_cgroup_id(skb, level);
		if (!id)
			break;
		__u32 *endpoint = bpf_map_lookup_elem(&workloads, &id);
		if (endpoint)
			found = *endpoint;
	}
	return found;
}

/* What a workload's policy says stands in the flow, where it says more than the node's. */
static __always_inline void show_verdict(const struct packet *packet, __u32 generation, __u32 verdict)
{
	struct flow *flow = flow_of(&packet->key);
	if (!flow || !(verdict & VERDICT_ID))
		return;
	__u32 shown = flow->verdict;
	bool says_more = verdict >> VERDICT_DECISION > shown >> VERDICT_DECISION || !(shown & VERDICT_ID);
	if (says_more)
		keep_verdict(flow, packet, flow->id, generation, verdict | VERDICT_WORKLOAD);
}

/* Global, so that the verifier reads it once. @return whether it may pass */
__noinline int judge_workload(struct __sk_buff *skb, struct packet *packet, __u32 endpoint, __u32 leaving)
{
	__u32 none = 0;
	struct policy_state *state = bpf_map_lookup_elem(&policy, &none);
	if (!packet || !state || (!state->loopback && skb->ifindex == 1))
		return 1;
	struct trial trial = {
		.generation = generation_in_force(state),
		.endpoint = endpoint,
		.leaving = leaving,
		.opener = packet->side,
	};
	if (!trial.generation)
		return 1;
	__u32 verdict = decide(skb, packet, &trial);
	show_verdict(packet, trial.generation, verdict);
	return verdict >> VERDICT_DECISION != DECISION_DENY;
}

static __always_inline int judge_socket(struct __sk_buff *skb, __u32 leaving)
{
	__u32 endpoint = workload_of(skb);
	if (!endpoint)
		return 1;
	struct packet packet = {};
	/* A socket's packet begins with its IP header, which the stack has read already. */
	if (decode_linear(skb, 0, &packet))
		return 0;
	forget_ways(&packet);
	return judge_workload(skb, &packet, endpoint, leaving) & 1;
}

SEC("cgroup_skb/ingress")
int x0_socket_in(struct __sk_buff *skb)
{
	return judge_socket(skb, 0);
}

SEC("cgroup_skb/egress")
int x0_socket_out(struct __sk_buff *skb)
{
	return judge_socket(skb, 1);
}

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct kernfs_node {
	__u64 id;
};
struct cgroup_root {
	int hierarchy_id;
};
struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
};
#pragma clang attribute pop

/* A unit that starts again gets its policy before its first process runs. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(x0_cgroup_made, struct cgroup *cgroup, const char *path)
{
	__u32 none = 0;
	struct cgroup_path *made = bpf_map_lookup_elem(&made_path, &none);
	/* The hierarchies of cgroup v1 have others. */
	if (!made || cgroup->root->hierarchy_id)
		return 0;
	__builtin_memset(made, 0, sizeof(*made));
	if (bpf_probe_read_kernel_str(made->text, sizeof(made->text), path) < 0)
		return 0;
	__u32 *endpoint = bpf_map_lookup_elem(&workload_paths, made);
	if (!endpoint)
		return 0;
	__u64 id = cgroup->kn->id;
	bpf_map_update_elem(&workloads, &id, endpoint, BPF_ANY);
	return 0;
}
