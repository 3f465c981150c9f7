/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A decoded packet into its flow: one look-up, two atomic additions; all else happens once a flow. */
#pragma once
#include "flow-insert.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define OWNER_ATTEMPTS 8
#define EXACT_PACKETS 64

/* Which side opened the flow: FLOW_OPENER for side 1, FLOW_OPENER_GUESSED where only the ports speak. */
static __always_inline __u32 opener_of(const struct packet *packet)
{
	const struct flow_key *key = &packet->key;
	__u8 side = packet->side;
	switch (key->protocol) {
	case IPPROTO_TCP:
		if (packet->tcp_flags & TCP_SYN)
			return (packet->tcp_flags & TCP_ACK ? !side : side) ? FLOW_OPENER : 0;
		break;
	case IPPROTO_ICMP:
		return (packet->icmp >> 8 == ICMP_ECHOREPLY ? !side : side) ? FLOW_OPENER : 0;
	case IPPROTO_ICMPV6:
		return (packet->icmp >> 8 == ICMPV6_ECHOREPLY ? !side : side) ? FLOW_OPENER : 0;
	}
	/* A service below 1024 was asked, whoever was heard first. */
	bool low0 = key->port[0] < 1024, low1 = key->port[1] < 1024;
	if (low0 != low1)
		side = low0;
	return (side ? FLOW_OPENER : 0) | FLOW_OPENER_GUESSED;
}

/* What the ports of a new flow say it speaks, as flags. */
static __always_inline __u32 application_of(const struct flow_key *key)
{
	if (key->protocol != IPPROTO_TCP && key->protocol != IPPROTO_UDP)
		return 0;
	__u32 service = (__u32)key->protocol << 16 | key->port[0];
	__u32 *application = bpf_map_lookup_elem(&services, &service);
	if (application)
		return (*application & 7) << FLOW_APPLICATION;
	service = (__u32)key->protocol << 16 | key->port[1];
	application = bpf_map_lookup_elem(&services, &service);
	return application ? (*application & 7) << FLOW_APPLICATION | FLOW_SERVER : 0;
}

/* A SYN on a closed flow ends it, so that a reused port is a new flow. */
static __always_inline bool begins_anew(const struct packet *packet, const struct flow *flow)
{
	return (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && flow->flags & FLOW_CLOSED;
}

static __always_inline void fill_flow(struct flow *flow, struct flow_detail *detail, __u32 index,
				      const struct packet *packet, __u32 flags, __u32 ifindex)
{
	__u64 now = bpf_ktime_get_ns();
	__builtin_memcpy(&flow->key, &packet->key, sizeof(flow->key));
	flow->last = now >> LAST_SHIFT;
	flow->flags = flags | opener_of(packet) | (packet->side ? FLOW_FIRST_SENDER : 0) | application_of(&packet->key);
	flow->generation = flow->verdict = 0;
	flow->first_ns = now;
	flow->process[0] = flow->process[1] = 0;
	flow->ifindex = ifindex;
	flow->icmp = packet->icmp;
	flow->attempts[0] = flow->attempts[1] = 0;
	detail->cookie[0] = detail->cookie[1] = 0;
	detail->flows++;
	detail->seen = 0;
	/* Last, and in this order on all processors: with an id it is there. */
	__sync_lock_test_and_set(&flow->id, (__u64)detail->flows << INDEX_BITS | index);
}

/*
 * A new flow, or the one that another CPU has made meanwhile. Whoever waits too long for the bucket goes on without
 * it: at worst two flows of one key then share its packets.
 */
__weak __u32 create(const struct packet *packet, __u32 flags, __u32 ifindex, struct totals *totals)
{
	struct flow_table *table = flow_table();
	if (!packet || !totals || !table)
		return NOWHERE;
	__u32 hash = hash_of(&packet->key, table);
	__u32 home = home_of(hash, table);
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &home);
	if (!bucket)
		return NOWHERE;
	bool locked = lock(bucket);
	__u32 index = index_of(&packet->key, table, hash), place = NOWHERE;
	struct flow *flow = bpf_map_lookup_elem(&flows, &index);
	/* A closed one's element stays where it is found. */
	bool used = flow && flow->id && begins_anew(packet, flow), fresh = used || !flow;
	if (!flow) {
		place = claim(home, table);
		if (place != NOWHERE)
			index = take_element(table);
		used = index == NOWHERE;
		/* Another CPU may take the same flow's element. */
		for (int i = 0; i < ROOM_ATTEMPTS && index == NOWHERE; i++)
			index = make_room(home, &place, table);
		if (index == NOWHERE && place != NOWHERE)
			give_up(place);
	}
	struct flow_detail *detail = bpf_map_lookup_elem(&details, &index);
	flow = bpf_map_lookup_elem(&flows, &index);
	if (fresh && flow && detail) {
		if (used)
			expel(flow, detail, totals);
		fill_flow(flow, detail, index, packet, flags, ifindex);
		totals->flows++;
		if (place != NOWHERE) {
			detail->place = place;
			point(place, hash, index, table);
		}
	}
	if (locked)
		unlock(bucket);
	return index;
}

static __always_inline struct flow *create_flow(const struct packet *packet, __u32 flags, __u32 ifindex,
						struct totals *totals)
{
	__u32 index = create(packet, flags, ifindex, totals);
	return bpf_map_lookup_elem(&flows, &index);
}

/* Adds a packet to a flow that exists. @return true if it closed the flow. */
static __always_inline bool add_packet(struct flow *flow, const struct packet *packet, struct totals *totals)
{
	__u8 side = packet->side & 1;
	__sync_fetch_and_add(&flow->packets[side], packet->segments);
	__sync_fetch_and_add(&flow->bytes[side], packet->bytes);
	/* The exact clock costs a sixth of all this: it tells how long a short flow took; of a long one the tick will do. */
	__u64 now = flow->packets[side] < EXACT_PACKETS ? bpf_ktime_get_ns() : bpf_ktime_get_coarse_ns();
	flow->last = now >> LAST_SHIFT;
	totals->packets += packet->segments;
	totals->bytes += packet->bytes;
	if (packet->key.protocol != IPPROTO_TCP)
		return false;
	__u32 seen = (__u32)packet->tcp_flags << (FLOW_TCP_FLAGS + 8 * side);
	__u32 flags = flow->flags;
	if ((flags & seen) != seen)
		flags = __sync_fetch_and_or(&flow->flags, seen) | seen;
	if (flags & FLOW_CLOSED || !(packet->tcp_flags & (TCP_FIN | TCP_RST)))
		return false;
	__u32 fins = (TCP_FIN << FLOW_TCP_FLAGS) | (TCP_FIN << (FLOW_TCP_FLAGS + 8));
	if (!(packet->tcp_flags & TCP_RST) && (flags & fins) != fins)
		return false;
	return !(__sync_fetch_and_or(&flow->flags, FLOW_CLOSED) & FLOW_CLOSED);
}

/* The flow of a packet if it has one and does not end it. */
static __always_inline struct flow *find_flow(const struct packet *packet)
{
	struct flow *flow = flow_of(&packet->key);
	return flow && begins_anew(packet, flow) ? 0 : flow;
}
