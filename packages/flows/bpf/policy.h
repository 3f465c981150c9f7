/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Whether a packet may pass. User space compiles policies into one longest-prefix table a generation; the verdict of
 * a connection is worked out once a generation and kept in its flow, so that a packet of a known flow pays one
 * comparison. Who opened an allowed connection is remembered in a map that never evicts: its answers pass, also when
 * its flow was evicted.
 */
#pragma once
#include "recognize.h"
#include <linux/in6.h>

#define GENERATION_SLOTS 4 /* a generation's number & 3 is its slot */

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
#define POLICY_PART_WORKLOADS 0xc0000000

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
	/* In a map of maps clang leaves out what types hold. */
	__uint(key_size, sizeof(struct policy_key));
	__uint(value_size, sizeof(struct policy_value));
};

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, GENERATION_SLOTS);
	__type(key, __u32);
	__array(values, struct policy_table);
} generations SEC(".maps");

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

/* By the names whose answers gave them. */
X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct in6_addr);
	__type(value, struct admitted);
} admitted SEC(".maps");

/* A state of the automaton that matches names: names.h. */
#define NAME_SYMBOLS 40
struct name_state {
	__u16 next[NAME_SYMBOLS];
	__u32 peers[ADMITTED_PEERS]; /* that select a name which ends here; 0 behind the last */
};

struct name_automaton {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct name_state));
};

/* A generation without names has none. */
X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, GENERATION_SLOTS);
	__type(key, __u32);
	__array(values, struct name_automaton);
} automata SEC(".maps");

static __always_inline void *automaton_of(__u32 generation)
{
	__u32 slot = generation & (GENERATION_SLOTS - 1);
	return bpf_map_lookup_elem(&automata, &slot);
}

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

static __always_inline bool judges_loopback(const struct policy_state *state)
{
	return state->loopback >> (generation_in_force(state) & (GENERATION_SLOTS - 1)) & 1;
}

static __always_inline __u32 boot_seconds(void)
{
	return bpf_ktime_get_boot_ns() / 1000000000;
}

static __always_inline void put_be32(__u8 *at, __u32 value)
{
	*(__u32 *)at = bpf_htonl(value);
}

/* What is asked of the table. */
struct question {
	__u8 peer[16];
	__u32 workload; /* of this host, at the other end: asked for in place of the address; 0 for none */
	__u32 policy;
	__u16 port;
	__u8 protocol;
	__u8 portless; /* a fragment whose ports nobody knows */
};

/* Room for a verdict: the stack of a program has 512 bytes. */
struct workspace {
	struct connection_key connection;
	struct connection_key quoted;
	struct packet inner;
	__u8 headers[48];
	struct question question;
	struct policy_key key;
};

#define WORKSPACES 4 /* what runs for a socket may be interrupted by what runs for a device */

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WORKSPACES);
	__type(key, __u32);
	__type(value, struct workspace);
} workspaces SEC(".maps");

/*
 * A place among those of this CPU, WORKSPACES where all are taken. Of tasks that preempt each other the first may end
 * first: a count of them would give out a place that is in use.
 */
static __always_inline __u32 take_slot(__u64 *busy)
{
	for (__u32 slot = 0; slot < WORKSPACES; slot++)
		if (!(__sync_fetch_and_or(busy, 1ULL << slot) & 1ULL << slot))
			return slot;
	return WORKSPACES;
}

static __always_inline void give_slot(__u64 *busy, __u32 slot)
{
	if (slot < WORKSPACES)
		__sync_fetch_and_and(busy, ~(1ULL << slot));
}

#define CLASS_SHIFT 28
#define CLASS_DENY 2
#define PEER_NODE 0x80000000 /* in a peer's second number: the address is a node's */

/* The answer of one (policy, peer): class << 28 | the id's complement, so that the greater one wins; 0: none. */
static __always_inline __u32 ask(void *table, struct workspace *work, __u32 policy, __u32 peer)
{
	const struct question *question = &work->question;
	struct policy_key *key = &work->key;
	key->bits = question->portless ? 64 + 8 : 64 + 24;
	put_be32(key->bytes, policy + 1);
	put_be32(key->bytes + 4, peer);
	key->bytes[8] = question->protocol;
	key->bytes[9] = question->port >> 8;
	key->bytes[10] = question->port;
	struct policy_value *rule = bpf_map_lookup_elem(table, key);
	if (!rule)
		return 0;
	return rule->first << CLASS_SHIFT | (~rule->second & VERDICT_ID);
}

static __always_inline void *table_of(__u32 generation)
{
	__u32 slot = generation & (GENERATION_SLOTS - 1);
	return bpf_map_lookup_elem(&generations, &slot);
}

/* Global, so that the verifier reads it once and not for each way there. @return decision << VERDICT_DECISION | id */
__noinline __u32 evaluate(struct workspace *work, __u32 generation)
{
	void *table = table_of(generation);
	if (!table || !work)
		return DECISION_DENY << VERDICT_DECISION;
	struct policy_key *key = &work->key;
	key->bits = 32;
	put_be32(key->bytes, POLICY_PART_ENDPOINTS | work->question.policy);
	struct policy_value *endpoint = bpf_map_lookup_elem(table, key);
	if (!endpoint)
		return DECISION_ALLOW << VERDICT_DECISION;
	__u32 default_deny = endpoint->first & VERDICT_ID, policy = endpoint->second;

	__u32 best = ask(table, work, policy, 0), answer;
	__u32 workload = work->question.workload;
	key->bits = workload ? 32 : 32 + 128;
	put_be32(key->bytes, workload ? POLICY_PART_WORKLOADS | workload : POLICY_PART_PEERS);
	__builtin_memcpy(key->bytes + 4, work->question.peer, 16);
	struct policy_value *peer = bpf_map_lookup_elem(table, key);
	__u32 wider = peer ? peer->second : 0;
	if (peer) {
		answer = ask(table, work, policy, peer->first);
		best = answer > best ? answer : best;
	}
	if (wider & ~PEER_NODE) {
		answer = ask(table, work, policy, wider & ~PEER_NODE);
		best = answer > best ? answer : best;
	}
	/* Names are of the world. */
	bool named = !workload && !(wider & PEER_NODE);
	struct admitted *names = named ? bpf_map_lookup_elem(&admitted, work->question.peer) : 0;
	if (names) {
		__u32 now = boot_seconds();
		for (int i = 0; i < ADMITTED_PEERS; i++) {
			__u64 place = names->places[i];
			if ((__u32)place <= now)
				continue;
			answer = ask(table, work, policy, place >> 32);
			best = answer > best ? answer : best;
		}
	}
	if (!best)
		return default_deny ? DECISION_DENY << VERDICT_DECISION | default_deny
				    : DECISION_ALLOW << VERDICT_DECISION;
	/* Allow and management allow, deny denies. */
	__u32 decision = best >> CLASS_SHIFT == CLASS_DENY ? DECISION_DENY : DECISION_ALLOW;
	return decision << VERDICT_DECISION | (~best & VERDICT_ID);
}

/* The number of an endpoint's policy: src/policy/tables.ts. */
#define MODE_ALL 2

/* Both modes: what only policies in audit deny is told and passes. @return as `evaluate` */
static __always_inline __u32 evaluate_modes(struct workspace *work, __u32 generation)
{
	__u32 enforced = evaluate(work, generation);
	if (enforced >> VERDICT_DECISION == DECISION_DENY)
		return enforced;
	work->question.policy |= MODE_ALL;
	__u32 all = evaluate(work, generation);
	if (all >> VERDICT_DECISION == DECISION_DENY)
		return DECISION_AUDIT << VERDICT_DECISION | (all & VERDICT_ID);
	return enforced & VERDICT_ID ? enforced : all;
}

/*
 * A flow's generation and verdict are one word of 64 bits, and the generation is mixed with the flow's id: another CPU
 * may give the element to another flow at any time, and a verdict must never be read as that one's.
 */
static __always_inline __u32 generation_tag(__u32 generation, __u64 id)
{
	return generation ^ ((__u32)id * 0x9e3779b1 ^ (__u32)(id >> 32));
}

/* Whether an ICMP error quotes a packet of a connection that is allowed: path MTU, unreachable, time exceeded. */
static __noinline bool is_related(struct __sk_buff *skb, const struct packet *packet, struct workspace *work,
				  __u32 generation)
{
	if (!packet || !work)
		return false;
	struct packet *inner = &work->inner;
	struct flow_key *key = &inner->key;
	__builtin_memset(inner, 0, sizeof(*inner));
	key->netns = packet->key.netns;
	__u8 *ip = work->headers, *transport = work->headers + 40;
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
		if (key->protocol == IPPROTO_FRAGMENT) {
			if (bpf_skb_load_bytes(skb, at + header, transport, 8) || transport[2] || transport[3] & 0xf8)
				return false;
			key->protocol = transport[0];
			header += 8;
		}
	}
	/* Errors quote 8 bytes of layer 4 at least: RFC 792, RFC 4443. */
	if (bpf_skb_load_bytes(skb, at + header, transport, 8))
		return false;
	read_transport(inner, key->protocol, transport, 8);
	order_sides(inner);
	__builtin_memcpy(&work->quoted.flow, key, sizeof(*key));
	work->quoted.endpoint = work->connection.endpoint;
	if (bpf_map_lookup_elem(&connections, &work->quoted))
		return true;
	/* What is forwarded from an address of this host is no connection of it: `let_answers_pass`. */
	struct flow *flow = work->quoted.endpoint ? 0 : flow_of(&work->quoted.flow);
	if (!flow)
		return false;
	__u64 judged = *(volatile __u64 *)&flow->generation;
	return (__u32)judged == generation_tag(generation, flow->id) && judged >> 32 == PASSING_BOTH << VERDICT_PASSING;
}

#define WORKLOAD_UNSOUGHT 0xffffffff

struct trial {
	__u64 flow; /* its id, 0 for none */
	__u32 generation;
	__u32 endpoint; /* whose policy is asked */
	__u32 workload; /* at the other end, WORKLOAD_UNSOUGHT where that is found out first; 0 for none */
	__u8 leaving; /* this host sends the packet */
	/* Side that opened the connection if no other is remembered: the sender, or, of a flow that is older than the
	 * policy, who sent first since we watch. Of connections older than that user space tells, in `connections`. */
	__u8 opener;
	__u8 goes_on; /* the packet is not the flow's first */
	__u8 doubted; /* filled in: denied for itself, the verdict of its flow stays */
};

/* Fills in what is asked about a connection. @param opener the side that opened it */
static __always_inline void pose(struct question *question, const struct packet *packet, const struct trial *trial,
				 __u8 opener)
{
	const struct flow_key *key = &packet->key;
	__u8 sender = packet->side & 1;
	bool asked = trial->leaving == (opener == sender); /* this host opened it */
	__u8 remote = trial->leaving ? !sender : sender;
	question->policy = trial->endpoint << 2 | asked;
	question->protocol = key->protocol;
	question->port = key->port[!opener];
	question->portless = packet->ports == PORTS_UNKNOWN;
	question->workload = trial->workload;
	__builtin_memcpy(question->peer, key->address[remote & 1], 16);
	if (key->protocol != IPPROTO_ICMP && key->protocol != IPPROTO_ICMPV6)
		return;
	question->port = key->port[0] >> 8;
	/* Both ports are an echo's identifier. Who opened it asked, unless an answer came unasked. */
	if (key->echo)
		question->port = opener == sender && packet->ports == PORTS_READ ? packet->icmp >> 8
				 : key->protocol == IPPROTO_ICMP		 ? ICMP_ECHO
										 : ICMPV6_ECHO;
}

/* A function of its own: little of the stack is left where an error is judged. */
static __noinline int remember(struct workspace *work, const struct trial *trial, __u32 verdict,
			       struct policy_counts *counts)
{
	if (!work || !trial || !counts)
		return 0;
	struct connection fresh = {
		.generation = trial->generation,
		.verdict = verdict,
		.last = bpf_ktime_get_coarse_ns() >> LAST_SHIFT,
		.flow = trial->flow,
	};
	if (bpf_map_update_elem(&connections, &work->connection, &fresh, BPF_ANY))
		counts->unremembered++;
	return 0;
}

/* @return as `evaluate`, and who opened the connection; 0 where the workload at the other end is to be sought first */
static __noinline __u32 decide_in(struct workspace *work, struct __sk_buff *skb, const struct packet *packet,
				  struct trial *trial, struct policy_counts *counts)
{
	if (!work || !packet || !trial || !counts)
		return DECISION_DENY << VERDICT_DECISION;
	struct connection_key *key = &work->connection;
	__builtin_memcpy(&key->flow, &packet->key, sizeof(key->flow));
	key->endpoint = trial->endpoint;
	struct connection *known = bpf_map_lookup_elem(&connections, key);
	if (is_torn(packet)) {
		trial->doubted = true;
		return DECISION_DENY << VERDICT_DECISION;
	}
	/* Within a connection anybody may have forged it, and the stack knows what to do. */
	bool opens = !trial->goes_on && packet->key.protocol == IPPROTO_TCP &&
		     (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	__u8 opener = packet->side & 1;
	if (!opens) {
		if (known && known->generation == trial->generation) {
			known->flow = trial->flow;
			known->last = bpf_ktime_get_coarse_ns() >> LAST_SHIFT;
			return known->verdict;
		}
		opener = known ? (known->verdict & VERDICT_SIDE) != 0 : trial->opener & 1;
	}
	__u32 side = opener ? VERDICT_SIDE : 0;
	if (is_vital(packet))
		return DECISION_ALLOW << VERDICT_DECISION | side;
	if (is_hidden(packet))
		return DECISION_DENY << VERDICT_DECISION | side;
	if (is_error(packet) && is_related(skb, packet, work, trial->generation)) {
		counts->related++;
		return DECISION_ALLOW << VERDICT_DECISION | side;
	}
	__u32 verdict = DECISION_DENY << VERDICT_DECISION;
	__u32 *exempted = bpf_map_lookup_elem(&exempt, &key->flow);
	if (exempted) {
		verdict = DECISION_ALLOW << VERDICT_DECISION | *exempted;
	} else if (trial->workload == WORKLOAD_UNSOUGHT) {
		return 0;
	} else if (trial->endpoint && trial->workload == trial->endpoint) {
		/* As within a pod: what a workload says to itself is not judged. */
		verdict = DECISION_ALLOW << VERDICT_DECISION;
	} else if (table_of(trial->generation)) {
		pose(&work->question, packet, trial, opener);
		verdict = evaluate_modes(work, trial->generation);
	} else {
		counts->unready++;
	}
	verdict |= side;
	if (verdict >> VERDICT_DECISION == DECISION_DENY) {
		/* Whoever forges the end of a connection and a new beginning from its other side must not end it. */
		if (known && opens && opener != ((known->verdict & VERDICT_SIDE) != 0))
			trial->doubted = true;
		else if (known)
			bpf_map_delete_elem(&connections, key);
		return verdict;
	}
	remember(work, trial, verdict, counts);
	return verdict;
}

/* Who opened what is older than a workload's policy: the node knows. */
static __noinline int ask_node(struct workspace *work, const struct packet *packet, struct trial *trial)
{
	if (!work || !packet || !trial)
		return 0;
	struct connection_key *key = &work->connection;
	__builtin_memcpy(&key->flow, &packet->key, sizeof(key->flow));
	key->endpoint = 0;
	struct connection *known = bpf_map_lookup_elem(&connections, key);
	if (known)
		trial->opener = (known->verdict & VERDICT_SIDE) != 0;
	return 0;
}

/* The verdict of a packet's connection, anew. @return as `decide_in` */
static __noinline __u32 decide(struct __sk_buff *skb, const struct packet *packet, struct trial *trial)
{
	__u32 none = 0, verdict = DECISION_DENY << VERDICT_DECISION;
	struct policy_counts *counts = bpf_map_lookup_elem(&policy_counts, &none);
	if (!counts || !trial)
		return verdict;
	__u32 slot = take_slot(&counts->busy);
	struct workspace *work = bpf_map_lookup_elem(&workspaces, &slot);
	if (work && trial->endpoint)
		ask_node(work, packet, trial);
	if (work)
		verdict = decide_in(work, skb, packet, trial, counts);
	give_slot(&counts->busy, slot);
	counts->verdicts += verdict != 0;
	return verdict;
}

static __always_inline void keep_verdict(struct flow *flow, const struct packet *packet, __u64 id, __u32 generation,
					 __u32 verdict)
{
	const __u64 *ours = (const __u64 *)&packet->key, *theirs = (const __u64 *)&flow->key;
	for (int word = 0; word < sizeof(struct flow_key) / 8; word++)
		if (ours[word] != theirs[word])
			return;
	__u64 judged = (__u64)verdict << 32 | generation_tag(generation, id);
	*(volatile __u64 *)&flow->generation = judged;
}

/*
 * Gives a flow another verdict. What it has met under the one it has is told first: whoever sums by rule reads a flow
 * now and then, and takes all that is new for the last verdict's. Two sides that are denied for different reasons
 * change it with each packet, so such news is limited.
 */
__noinline int change_verdict(struct flow *flow, const struct packet *packet, __u32 generation, __u32 verdict,
			      __u32 program)
{
	if (!flow || !packet)
		return 0;
	__u64 id = flow->id;
	struct totals *totals = totals_of(program);
	/* A flow that only a device below has seen has none yet: what is counted of it is this very packet. */
	if (totals && flow->generation && (flow->verdict ^ verdict) & (VERDICT_ID | ~0U << VERDICT_DECISION) &&
	    may_tell(totals, bpf_ktime_get_ns(), WINDOW_VERDICTS))
		emit(EVENT_FLOW_JUDGED, flow, totals);
	keep_verdict(flow, packet, id, generation, verdict);
	return 0;
}

#define JUDGE_LEAVING 1 /* this host sends the packet */
#define JUDGE_FRESH 2 /* its flow begins with it */

/*
 * Whether the node's policy drops a packet whose flow has no verdict of this generation. Without a flow it is judged
 * for itself. Global, so that the verifier reads it once and not for each way there.
 */
__noinline int judge_anew(struct __sk_buff *skb, const struct packet *packet, struct flow *flow, __u32 generation,
			  __u32 how)
{
	if (!packet)
		return true;
	__u32 verdict = 0;
	/* Read again where it is needed: little of the stack is left here. */
	struct trial trial = { .generation = generation, .leaving = how & JUDGE_LEAVING, .opener = packet->side };
	if (generation && !trial.leaving && is_passing_through(skb, packet)) {
		/* Only this side's: with the other one's address a stranger may have sent it, to be let in after it. */
		verdict = 1U << (VERDICT_PASSING + (packet->side & 1));
		__u64 judged = flow ? *(volatile __u64 *)&flow->generation : 0;
		if (flow && (__u32)judged == generation_tag(generation, flow->id) &&
		    !(judged >> (32 + VERDICT_DECISION)))
			verdict |= judged >> 32;
	} else if (generation) {
		if (flow) {
			__u32 judged = flow->generation;
			trial.flow = flow->id;
			/* One that only a device below has seen begins here. */
			trial.goes_on = !(how & JUDGE_FRESH) && judged;
			if (trial.goes_on && judged == generation_tag(0, trial.flow))
				trial.opener = (flow->flags & FLOW_FIRST_SENDER) != 0;
		}
		verdict = decide(skb, packet, &trial);
		if (trial.doubted)
			return true;
	}
	if (flow)
		change_verdict(flow, packet, trial.generation, verdict,
			       trial.leaving ? PROGRAM_EGRESS : PROGRAM_INGRESS);
	return verdict >> VERDICT_DECISION == DECISION_DENY;
}

/*
 * What is forwarded from an address of this host, as masquerading makes it, is answered to that address: the answers
 * are not for this host. A flow that leaves so is not judged, whatever was decided when an answer came first.
 */
static __always_inline void let_answers_pass(const struct packet *packet, struct flow *flow,
					     const struct policy_state *state)
{
	__u32 generation = generation_in_force(state);
	__u64 judged = *(volatile __u64 *)&flow->generation;
	/* One that came in by the same tuple is not translated: its answers are told by their own addresses. */
	if ((__u32)judged == generation_tag(generation, flow->id) && !(judged >> (32 + VERDICT_DECISION)))
		return;
	if (generation)
		change_verdict(flow, packet, generation, PASSING_BOTH << VERDICT_PASSING, PROGRAM_EGRESS);
}

/* Whether the node's policy drops the packet. */
static __always_inline bool judge(struct __sk_buff *skb, const struct packet *packet, struct flow *flow, __u32 how,
				  const struct policy_state *state)
{
	__u32 generation = generation_in_force(state);
	__u64 judged = *(volatile __u64 *)&flow->generation;
	__u32 verdict = judged >> 32;
	/* Errors of many connections share a flow: each is judged for itself. */
	if ((__u32)judged == generation_tag(generation, flow->id) && !(how & JUDGE_FRESH) && !is_error(packet)) {
		__u32 passing = verdict >> VERDICT_PASSING;
		if (generation && passing < PASSING_BOTH &&
		    (how & JUDGE_LEAVING || !(passing >> (packet->side & 1) & 1)))
			return judge_anew(skb, packet, flow, generation, how);
		/* What one side may not, the other may. */
		if (verdict >> VERDICT_DECISION != DECISION_DENY || verdict & VERDICT_WORKLOAD)
			return false;
		/* A name that was learned since may allow what this host asks for. */
		if (packet->side == ((verdict & VERDICT_SIDE) != 0) &&
		    (!(how & JUDGE_LEAVING) || !automaton_of(generation)))
			return true;
	}
	return judge_anew(skb, packet, flow, generation, how);
}
