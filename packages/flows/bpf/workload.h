/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The policies of local workloads: systemd units and containers, told by the cgroup of a packet's socket. What the
 * node's policy lets pass is judged here for the process that sends or receives it.
 */
#pragma once
#include "attribute.h"
#include "policy.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define CGROUP_LEVELS 8 /* a unit in a slice in a slice in a user's manager */
#define CGROUP_PATH_BYTES 256
#define LOOPBACK_IFINDEX 1
#define WORKLOAD_UNJUDGED 0x80000000 /* no policy selects it: it is known as a peer only */

/* Id of a cgroup → endpoint, and WORKLOAD_UNJUDGED. */
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

/* Path of a cgroup that comes again under the same name, as a unit's does → the same. */
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

/* The innermost workload with a policy that a packet's socket belongs to, 0 for none. */
static __always_inline __u32 workload_of(struct __sk_buff *skb)
{
	__u32 found = 0;
	for (int level = 1; level < CGROUP_LEVELS; level++) {
		__u64 id = bpf_skb_ancestor_cgroup_id(skb, level);
		if (!id)
			break;
		__u32 *endpoint = bpf_map_lookup_elem(&workloads, &id);
		if (endpoint && !(*endpoint & WORKLOAD_UNJUDGED))
			found = *endpoint;
	}
	return found;
}

/*
 * The workload that the socket at the other end belongs to, 0 for none: the one whose policy it has, else the innermost.
 * Asked for what passes loopback: its ends are sockets of one network namespace. Of other protocols than TCP and UDP the
 * kernel finds no sockets.
 */
static __noinline __u32 workload_opposite(struct __sk_buff *skb, const struct packet *packet, __u32 leaving)
{
	if (!packet)
		return 0;
	__u8 sender = packet->side & 1;
	struct bpf_sock *sk = socket_at(skb, &packet->key, leaving ? !sender : sender);
	if (!sk)
		return 0;
	__u32 found = WORKLOAD_UNJUDGED;
	for (int level = 1; level < CGROUP_LEVELS; level++) {
		__u64 id = bpf_sk_ancestor_cgroup_id(sk, level);
		if (!id)
			break;
		__u32 *endpoint = bpf_map_lookup_elem(&workloads, &id);
		if (endpoint && (found & WORKLOAD_UNJUDGED || !(*endpoint & WORKLOAD_UNJUDGED)))
			found = *endpoint;
	}
	bpf_sk_release(sk);
	return found & ~WORKLOAD_UNJUDGED;
}

/*
 * What a workload's policy says stands in the flow, where it says more than the node's. Before the devices have judged
 * the flow in this generation it is not theirs to take for judged: what passes is shown by a later packet, what does
 * not stands there without a generation.
 */
static __always_inline void show_verdict(struct flow *flow, const struct packet *packet, __u32 generation,
					 __u32 verdict)
{
	__u64 id = flow->id, judged = *(volatile __u64 *)&flow->generation;
	bool denied = verdict >> VERDICT_DECISION == DECISION_DENY;
	if ((__u32)judged != generation_tag(generation, id)) {
		if (denied)
			*(volatile __u64 *)&flow->generation = (__u64)(verdict | VERDICT_WORKLOAD) << 32;
		return;
	}
	__u32 shown = judged >> 32;
	if (!(verdict & VERDICT_ID) || shown >> VERDICT_DECISION == DECISION_DENY)
		return;
	bool says_more = verdict >> VERDICT_DECISION > shown >> VERDICT_DECISION || !(shown & VERDICT_ID);
	if (says_more)
		keep_verdict(flow, packet, id, generation, verdict | VERDICT_WORKLOAD);
}

/* What a workload may not send comes to no device: it is counted here, with its verdict. */
static __noinline int tell_unsent(struct __sk_buff *skb, const struct packet *packet, __u32 generation, __u32 verdict)
{
	struct totals *totals = totals_of(PROGRAM_EGRESS);
	if (!packet || !totals)
		return 0;
	struct flow *flow = find_flow(packet);
	bool fresh = !flow;
	if (fresh) {
		__u32 loopback = skb->ifindex == LOOPBACK_IFINDEX ? FLOW_LOOPBACK : 0;
		flow = create_flow(packet, FLOW_EGRESS_FIRST | loopback, skb->ifindex, totals);
		if (!flow) {
			totals->uncounted += packet->segments;
			return 0;
		}
	}
	show_verdict(flow, packet, generation, verdict);
	add_packet(flow, packet, totals);
	if (flow->attempts[packet->side & 1] < OWNER_ATTEMPTS)
		attribute_sender(skb, flow, packet->side);
	if (fresh)
		emit(EVENT_FLOW_NEW, flow, totals);
	return 0;
}

/* Global, so that the verifier reads it once. @return whether it may pass */
__noinline int judge_workload(struct __sk_buff *skb, struct packet *packet, __u32 endpoint, __u32 leaving)
{
	__u32 none = 0;
	struct policy_state *state = bpf_map_lookup_elem(&policy, &none);
	bool loopback = skb->ifindex == LOOPBACK_IFINDEX;
	if (!packet || !state || (loopback && !judges_loopback(state)))
		return 1;
	struct trial trial = {
		.generation = generation_in_force(state),
		.endpoint = endpoint,
		.workload = loopback ? WORKLOAD_UNSOUGHT : 0,
		.leaving = leaving,
		.opener = packet->side,
	};
	if (!trial.generation)
		return 1;
	/* Forgotten with its flow. Of the first packet that leaves there is none yet, the answer tells it. */
	struct flow *flow = flow_of(&packet->key);
	if (flow) {
		trial.flow = flow->id;
		/* As at a device: older than the policy, and watched from its beginning. */
		if (flow->generation == generation_tag(0, trial.flow))
			trial.opener = (flow->flags & FLOW_FIRST_SENDER) != 0;
	}
	__u32 verdict = decide(skb, packet, &trial);
	if (!verdict) {
		trial.workload = workload_opposite(skb, packet, leaving);
		verdict = decide(skb, packet, &trial);
	}
	bool denied = verdict >> VERDICT_DECISION == DECISION_DENY;
	if (denied && leaving)
		tell_unsent(skb, packet, trial.generation, verdict);
	else if (flow)
		show_verdict(flow, packet, trial.generation, verdict);
	return !denied;
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
