/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A decoded packet into its flow: one look-up, two atomic additions; all else happens once a flow. */
#pragma once
#include "maps.h"
#include "packet.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define OWNER_ATTEMPTS 8
#define EXACT_PACKETS 64

/* A function of its own so that BTF, and with it src/generated/layout.ts, knows the event. */
static __noinline int fill_event(struct flow_event *event, __u32 type, const struct flow_key *key,
				 const struct flow *flow)
{
	if (!event || !key || !flow)
		return 0;
	event->type = type;
	event->pad = 0;
	__builtin_memcpy(&event->key, key, sizeof(*key));
	__builtin_memcpy(&event->flow, flow, sizeof(*flow));
	return 0;
}

static __noinline int emit(__u32 type, const struct flow_key *key, const struct flow *flow, struct totals *totals)
{
	if (!key || !flow || !totals)
		return 0;
	struct flow_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		totals->lost++;
		return 0;
	}
	fill_event(event, type, key, flow);
	/* User space polls: a wake-up would cost more than the event. */
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

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

static __noinline struct flow *create_flow(const struct packet *packet, __u32 flags, __u32 ifindex,
					   struct totals *totals)
{
	struct totals *numbers = totals_of(0);
	if (!packet || !totals || !numbers)
		return 0;
	__u64 now = bpf_ktime_get_ns();
	struct flow fresh = {
		.id = ++numbers->sequence << 10 | (bpf_get_smp_processor_id() & 1023),
		.first_ns = now,
		.last = now >> LAST_SHIFT,
		.flags = flags | opener_of(packet) | (packet->side ? FLOW_FIRST_SENDER : 0) |
			 application_of(&packet->key),
		.ifindex = ifindex,
		.icmp = packet->icmp,
	};
	long error = bpf_map_update_elem(&flows, &packet->key, &fresh, BPF_NOEXIST);
	if (!error)
		totals->flows++;
	/* Another CPU may have been first; its entry serves as well. */
	return bpf_map_lookup_elem(&flows, &packet->key);
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

/* The flow of a packet if it has one; a SYN on a closed one ends it, so that a reused port is a new flow. */
static __always_inline struct flow *find_flow(const struct packet *packet, struct totals *totals)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, &packet->key);
	if (flow && (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && flow->flags & FLOW_CLOSED) {
		emit(EVENT_FLOW_REPLACED, &packet->key, flow, totals);
		bpf_map_delete_elem(&flows, &packet->key);
		return 0;
	}
	return flow;
}
