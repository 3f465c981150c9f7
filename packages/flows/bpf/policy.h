/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Whether a packet may pass. User space compiles policies into one longest-prefix table a generation; the verdict of
 * a connection is worked out once a generation and kept in its flow, so that a packet of a known flow pays one
 * comparison. Who opened an allowed connection is remembered in a map that never evicts: its answers pass, also when
 * its flow was evicted.
 */
#pragma once
#include "account.h"
#include <linux/in6.h>

#define GENERATION_SLOTS 4 /* a generation's number & 3 is its slot */

/* What is in force. User space fills the other choice, then turns `current`: no packet sees half of it. */
struct policy_choice {
	__u32 generation; /* 0: no policy */
	__u32 previous; /* holds again after the deadline */
	__u64 deadline_ns; /* CLOCK_BOOTTIME; 0: confirmed */
};

struct policy_state {
	__u32 current;
	__u32 loopback; /* 1: loopback is judged too */
	struct policy_choice choices[2];
};

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct policy_state);
} policy SEC(".maps");

/* Big-endian bytes; src/policy/tables.ts says what they mean. */
#define POLICY_KEY_BYTES 20
#define POLICY_PART_PEERS 0
#define POLICY_PART_ENDPOINTS 0x80000000

struct policy_key {
	__u32 bits;
	__u8 bytes[POLICY_KEY_BYTES];
};

struct policy_value {
	__u32 first;
	__u32 second;
};

struct policy_table {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, struct policy_key);
	__type(value, struct policy_value);
};

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, GENERATION_SLOTS);
	__type(key, __u32);
	__array(values, struct policy_table);
} generations SEC(".maps");

/* A verdict in 32 bits. The side is that which opened the connection. */
#define VERDICT_ID 0x0fffffff
#define VERDICT_SIDE (1U << 28)
#define VERDICT_WORKLOAD (1U << 29) /* decided by a workload's policy: the devices let it pass */
#define VERDICT_DECISION 30
enum decision {
	DECISION_NONE, /* no policy was asked */
	DECISION_ALLOW,
	DECISION_AUDIT,
	DECISION_DENY,
};

struct connection_key {
	struct flow_key flow;
	__u32 endpoint; /* 0: the node */
};

/* An allowed connection. */
struct connection {
	__u32 generation;
	__u32 verdict;
	__u32 last; /* as a flow's, but of the latest verdict */
};

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct connection_key);
	__type(value, struct connection);
} connections SEC(".maps");

/* Connections that pass whatever the policy says: the sessions that apply it. */
X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct flow_key);
	__type(value, __u32); /* id of the verdict */
} exempt SEC(".maps");

/* Addresses by the names whose answers gave them. */
#define ADMITTED_PEERS 8
struct admitted {
	__u32 peers[ADMITTED_PEERS]; /* 0 behind the last */
	__u64 until_ns; /* CLOCK_BOOTTIME */
};

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct in6_addr);
	__type(value, struct admitted);
} admitted SEC(".maps");

/* Of verdicts, not of packets; those of packets are in the flows. */
struct policy_counts {
	__u64 verdicts;
	__u64 unremembered; /* allowed connections without room in `connections` */
	__u64 related; /* ICMP errors that passed for their connection's sake */
	__u64 unready; /* judged while the table of a generation was missing: denied */
};

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct policy_counts);
} policy_counts SEC(".maps");

/* The choice in force, and when it ends by itself. */
static __always_inline __u32 generation_in_force(const struct policy_state *state)
{
	const struct policy_choice *choice = &state->choices[state->current & 1];
	__u64 deadline = choice->deadline_ns;
	if (!deadline || bpf_ktime_get_boot_ns() < deadline)
		return choice->generation;
	return choice->previous;
}

static __always_inline void put_be32(__u8 *at, __u32 value)
{
	*(__u32 *)at = bpf_htonl(value);
}

/* What is asked of the table. */
struct question {
	__u8 peer[16];
	__u32 policy;
	__u16 port;
	__u8 protocol;
	__u8 portless; /* a fragment whose ports nobody knows */
};

#define CLASS_SHIFT 28
#define CLASS_ALLOW 1

/* The answer of one (policy, peer): class << 28 | the id's complement, so that the greater one wins; 0: none. */
static __always_inline __u32 ask(void *table, const struct question *question, __u32 peer)
{
	struct policy_key key = { .bits = question->portless ? 72 : 88 };
	put_be32(key.bytes, question->policy + 1);
	put_be32(key.bytes + 4, peer);
	key.bytes[8] = question->protocol;
	key.bytes[9] = question->port >> 8;
	key.bytes[10] = question->port;
	struct policy_value *rule = bpf_map_lookup_elem(table, &key);
	if (!rule)
		return 0;
	return rule->first << CLASS_SHIFT | (~rule->second & VERDICT_ID);
}

/* @return decision << VERDICT_DECISION | id */
static __noinline __u32 evaluate(void *table, const struct question *question)
{
	struct policy_key key = { .bits = 32 };
	put_be32(key.bytes, POLICY_PART_ENDPOINTS | question->policy);
	struct policy_value *endpoint = bpf_map_lookup_elem(table, &key);
	if (!endpoint)
		return DECISION_ALLOW << VERDICT_DECISION;

	__u32 best = ask(table, question, 0);
	key.bits = 32 + 128;
	put_be32(key.bytes, POLICY_PART_PEERS);
	__builtin_memcpy(key.bytes + 4, question->peer, 16);
	struct policy_value *peer = bpf_map_lookup_elem(table, &key);
	if (peer) {
		__u32 answer = ask(table, question, peer->first);
		best = answer > best ? answer : best;
	}
	struct admitted *names = bpf_map_lookup_elem(&admitted, question->peer);
	if (names && names->until_ns > bpf_ktime_get_boot_ns()) {
		for (int i = 0; i < ADMITTED_PEERS; i++) {
			if (!names->peers[i])
				break;
			__u32 answer = ask(table, question, names->peers[i]);
			best = answer > best ? answer : best;
		}
	}
	if (!best)
		return endpoint->first ? DECISION_DENY << VERDICT_DECISION | endpoint->first :
					 DECISION_ALLOW << VERDICT_DECISION;
	/* Allow and management allow, deny denies. */
	__u32 decision = best >> CLASS_SHIFT == CLASS_ALLOW + 1 ? DECISION_DENY : DECISION_ALLOW;
	return decision << VERDICT_DECISION | (~best & VERDICT_ID);
}

/* The number of an endpoint's policy: src/policy/tables.ts. */
#define MODE_ENFORCED 0
#define MODE_ALL 2

/* Both modes: what only policies in audit deny is told and passes. @return as `evaluate` */
static __noinline __u32 evaluate_modes(void *table, struct question *question)
{
	__u32 enforced = evaluate(table, question);
	if (enforced >> VERDICT_DECISION == DECISION_DENY)
		return enforced;
	question->policy |= MODE_ALL;
	__u32 all = evaluate(table, question);
	if (all >> VERDICT_DECISION == DECISION_DENY)
		return DECISION_AUDIT << VERDICT_DECISION | (all & VERDICT_ID);
	return enforced & VERDICT_ID ? enforced : all;
}

#define ICMP_UNREACHABLE 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER 12
#define ICMPV6_ERRORS_END 4
#define ICMPV6_MLD_FIRST 130
#define ICMPV6_ND_LAST 137
#define ICMPV6_MLD2_REPORT 143

/* What a network needs to work at all: neighbour discovery and the membership reports that it rests on, DHCP. */
static __always_inline bool is_vital(const struct packet *packet)
{
	const struct flow_key *key = &packet->key;
	__u8 type = packet->icmp >> 8;
	if (key->protocol == IPPROTO_ICMPV6)
		return (type >= ICMPV6_MLD_FIRST && type <= ICMPV6_ND_LAST) || type == ICMPV6_MLD2_REPORT;
	if (key->protocol != IPPROTO_UDP)
		return false;
	__u16 from = key->port[packet->side & 1], to = key->port[!(packet->side & 1)];
	return (from == 67 && to == 68) || (from == 68 && to == 67) || (from == 67 && to == 67) ||
	       (from == 546 && to == 547) || (from == 547 && to == 546);
}

static __always_inline bool is_error(const struct packet *packet)
{
	__u8 type = packet->icmp >> 8;
	if (packet->key.protocol == IPPROTO_ICMP)
		return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER;
	return packet->key.protocol == IPPROTO_ICMPV6 && type >= 1 && type <= ICMPV6_ERRORS_END;
}

/* Whether an ICMP error quotes a packet of a connection that is allowed: path MTU, unreachable, time exceeded. */
static __noinline bool is_related(struct __sk_buff *skb, const struct packet *packet, __u32 endpoint)
{
	if (!packet)
		return false;
	struct connection_key quoted = { .flow.netns = packet->key.netns, .endpoint = endpoint };
	struct packet inner = { .key.netns = packet->key.netns };
	struct flow_key *key = &inner.key;
	__u8 ip[40], transport[8];
	__u32 at = packet->payload, header = 40;
	if (!at || bpf_skb_load_bytes(skb, at, ip, 20))
		return false;
	if (ip[0] >> 4 == 4) {
		key->address[0][10] = key->address[0][11] = key->address[1][10] = key->address[1][11] = 0xff;
		__builtin_memcpy(key->address[0] + 12, ip + 12, 4);
		__builtin_memcpy(key->address[1] + 12, ip + 16, 4);
		header = (ip[0] & 15) * 4;
		key->protocol = ip[9];
	} else {
		if (bpf_skb_load_bytes(skb, at, ip, 40))
			return false;
		__builtin_memcpy(key->address[0], ip + 8, 16);
		__builtin_memcpy(key->address[1], ip + 24, 16);
		key->protocol = ip[6];
	}
	/* Errors quote 8 bytes of layer 4 at least: RFC 792, RFC 4443. */
	if (bpf_skb_load_bytes(skb, at + header, transport, sizeof(transport)))
		return false;
	read_transport(&inner, key->protocol, transport, sizeof(transport));
	order_sides(&inner);
	__builtin_memcpy(&quoted.flow, key, sizeof(*key));
	return bpf_map_lookup_elem(&connections, &quoted) != 0;
}

/* Whether this host forwards the packet instead of taking it; what the routes do not say is taken. */
static __noinline bool is_passing_through(struct __sk_buff *skb, const struct packet *packet)
{
	if (!packet)
		return false;
	const struct flow_key *key = &packet->key;
	__u8 from = packet->side & 1;
	struct bpf_fib_lookup route = { .ifindex = skb->ifindex, .l4_protocol = key->protocol };
	const __u64 *high = (const __u64 *)key->address[0];
	const __u32 *prefix = (const __u32 *)key->address[0];
	if (!high[0] && prefix[2] == bpf_htonl(0xffff)) {
		route.family = 2; /* AF_INET */
		__builtin_memcpy(&route.ipv4_src, key->address[from] + 12, 4);
		__builtin_memcpy(&route.ipv4_dst, key->address[!from] + 12, 4);
	} else {
		route.family = 10; /* AF_INET6 */
		__builtin_memcpy(route.ipv6_src, key->address[from], 16);
		__builtin_memcpy(route.ipv6_dst, key->address[!from], 16);
	}
	long result = bpf_fib_lookup(skb, &route, sizeof(route), 0);
	return result == BPF_FIB_LKUP_RET_SUCCESS || result == BPF_FIB_LKUP_RET_NO_NEIGH ||
	       result == BPF_FIB_LKUP_RET_FRAG_NEEDED;
}

/*
 * The verdict of a packet's connection under a generation, anew.
 *
 * `older`: its flow was there before there was a policy; else who sends what belongs to no allowed connection opens
 * one. `leaving`: this host sends it.
 */
static __noinline __u32 decide(struct __sk_buff *skb, const struct packet *packet, struct flow *flow, __u32 generation,
			       __u32 endpoint, bool older, bool leaving)
{
	__u32 none = 0;
	struct policy_counts *counts = bpf_map_lookup_elem(&policy_counts, &none);
	if (!packet || !flow || !counts)
		return DECISION_DENY << VERDICT_DECISION;
	counts->verdicts++;
	struct connection_key key = { .endpoint = endpoint };
	__builtin_memcpy(&key.flow, &packet->key, sizeof(key.flow));
	struct connection *known = bpf_map_lookup_elem(&connections, &key);
	bool opens = packet->key.protocol == IPPROTO_TCP && (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	__u8 sender = packet->side & 1, opener = sender;
	if (known && !opens) {
		if (known->generation == generation)
			return known->verdict;
		opener = (known->verdict & VERDICT_SIDE) != 0;
	} else if (older && !opens) {
		/* Who sent first since we watch; of connections older than that user space tells, in `connections`. */
		opener = (flow->flags & FLOW_FIRST_SENDER) != 0;
	}
	__u32 side = opener ? VERDICT_SIDE : 0;
	if (is_vital(packet))
		return DECISION_ALLOW << VERDICT_DECISION | side;
	if (is_error(packet) && is_related(skb, packet, endpoint)) {
		counts->related++;
		return DECISION_ALLOW << VERDICT_DECISION | side;
	}
	__u32 *exempted = bpf_map_lookup_elem(&exempt, &packet->key);
	__u32 verdict = DECISION_DENY << VERDICT_DECISION;
	if (exempted) {
		verdict = DECISION_ALLOW << VERDICT_DECISION | *exempted;
	} else {
		__u32 slot = generation & (GENERATION_SLOTS - 1);
		void *table = bpf_map_lookup_elem(&generations, &slot);
		if (table) {
			bool asked = leaving == (opener == sender); /* this host opened it */
			__u8 remote = leaving ? !sender : sender;
			struct question question = {
				.policy = endpoint << 2 | (asked ? 1 : 0),
				.protocol = packet->key.protocol,
				.port = packet->key.port[!opener],
			};
			__builtin_memcpy(question.peer, packet->key.address[remote & 1], 16);
			switch (question.protocol) {
			case IPPROTO_ICMP:
			case IPPROTO_ICMPV6:
				question.port = packet->icmp >> 8;
				if (packet->key.echo && opener != sender)
					question.port = question.protocol == IPPROTO_ICMP ? ICMP_ECHO : ICMPV6_ECHO;
				break;
			case IPPROTO_TCP:
			case IPPROTO_UDP:
			case IPPROTO_SCTP:
				question.portless = !packet->key.port[0] && !packet->key.port[1];
			}
			verdict = evaluate_modes(table, &question);
		} else {
			counts->unready++;
		}
	}
	verdict |= side;
	if (verdict >> VERDICT_DECISION == DECISION_DENY) {
		if (known)
			bpf_map_delete_elem(&connections, &key);
		return verdict;
	}
	struct connection fresh = {
		.generation = generation,
		.verdict = verdict,
		.last = bpf_ktime_get_coarse_ns() >> LAST_SHIFT,
	};
	if (bpf_map_update_elem(&connections, &key, &fresh, BPF_ANY))
		counts->unremembered++;
	return verdict;
}

/* Whether the node's policy drops the packet. @param fresh the flow begins with it */
static __always_inline bool judge(struct __sk_buff *skb, const struct packet *packet, struct flow *flow, bool fresh,
				  bool leaving, const struct policy_state *state)
{
	__u32 generation = generation_in_force(state);
	__u32 verdict = flow->verdict;
	/* Errors of many connections share a flow: each is judged for itself. */
	if (flow->generation == generation && !fresh && !is_error(packet)) {
		/* What one side may not, the other may. */
		if (verdict >> VERDICT_DECISION != DECISION_DENY || verdict & VERDICT_WORKLOAD)
			return false;
		if (packet->side == ((verdict & VERDICT_SIDE) != 0))
			return true;
	}
	if (!generation)
		verdict = 0;
	else if (!leaving && is_passing_through(skb, packet))
		verdict = 0;
	else
		verdict = decide(skb, packet, flow, generation, 0, !fresh && !flow->generation, leaving);
	flow->verdict = verdict;
	flow->generation = generation;
	return verdict >> VERDICT_DECISION == DECISION_DENY;
}
