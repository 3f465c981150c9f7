/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What a packet says beside its headers. The kernel parses nothing: it hands user space the first bytes of DNS and
 * of the hellos of TLS and QUIC, and for ports of requests it takes the time from one side's first packet to the
 * other side's. A second request that is sent before the first is answered is not timed.
 */
#pragma once
#include "account.h"

#define HELLO_PACKETS 12
#define QUIC_INITIAL_BYTES 1200 /* RFC 9000 14.1: a client pads its first datagram to so many */
#define PAYLOAD_CHUNKS 2

/* A function of its own so that BTF, and with it src/generated/layout.ts, knows the event. */
static __noinline int fill_payload(struct payload_event *event, const struct packet *packet, __u64 id, __u64 now)
{
	if (!event || !packet)
		return 0;
	event->type = EVENT_PAYLOAD;
	event->id = id;
	event->time_ns = now;
	event->side = packet->side;
	return 0;
}

static __noinline int tell_payload(struct __sk_buff *skb, const struct packet *packet, __u64 id, __u32 application,
				   struct totals *totals)
{
	if (!packet || !totals)
		return 0;
	__u64 now = bpf_ktime_get_ns();
	for (__u32 chunk = 0; chunk < PAYLOAD_CHUNKS; chunk++) {
		__u32 done = chunk * PAYLOAD_BYTES;
		if (packet->payload_bytes <= done || !may_tell(totals, now, WINDOW_PAYLOADS))
			return 0;
		__u32 left = packet->payload_bytes - done;
		__u32 length = left < PAYLOAD_BYTES ? left : PAYLOAD_BYTES;
		struct payload_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
		if (!event) {
			totals->lost++;
			return 0;
		}
		fill_payload(event, packet, id, now);
		event->application = application;
		event->sequence = packet->sequence + done;
		event->length = length;
		if (length < 1 || length > PAYLOAD_BYTES ||
		    bpf_skb_load_bytes(skb, packet->payload + done, event->bytes, length)) {
			bpf_ringbuf_discard(event, BPF_RB_NO_WAKEUP);
			return 0;
		}
		bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	}
	return 0;
}

static __noinline int fill_exchange(struct exchange_event *event, const struct turn *turn, __u64 id, __u64 now)
{
	if (!event || !turn)
		return 0;
	event->type = EVENT_EXCHANGE;
	event->id = id;
	event->time_ns = turn->began_ns;
	event->latency_ns = now - turn->began_ns;
	event->request_length = turn->length;
	__builtin_memcpy(event->request, turn->head, REQUEST_BYTES);
	return 0;
}

static __noinline int begin_turn(struct __sk_buff *skb, const struct packet *packet, __u64 id)
{
	if (!packet)
		return 0;
	struct turn *turn = bpf_map_lookup_elem(&turns, &id);
	if (!turn) {
		struct turn none = {};
		bpf_map_update_elem(&turns, &id, &none, BPF_NOEXIST);
		turn = bpf_map_lookup_elem(&turns, &id);
	}
	if (!turn || turn->waiting)
		return 0;
	__u32 length = packet->payload_bytes;
	if (length > REQUEST_BYTES)
		length = REQUEST_BYTES;
	if (length < 1 || bpf_skb_load_bytes(skb, packet->payload, turn->head, length))
		return 0;
	turn->length = length;
	turn->began_ns = bpf_ktime_get_ns();
	turn->waiting = 1;
	return 0;
}

static __noinline int end_turn(struct __sk_buff *skb, const struct packet *packet, __u64 id, __u32 application,
			       struct totals *totals)
{
	if (!packet || !totals)
		return 0;
	struct turn *turn = bpf_map_lookup_elem(&turns, &id);
	if (!turn || !turn->waiting)
		return 0;
	turn->waiting = 0;
	struct exchange_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		totals->lost++;
		return 0;
	}
	fill_exchange(event, turn, id, bpf_ktime_get_ns());
	event->application = application;
	__u32 length = packet->payload_bytes;
	if (length > RESPONSE_BYTES)
		length = RESPONSE_BYTES;
	event->response_length = length;
	if (length < 1 || bpf_skb_load_bytes(skb, packet->payload, event->response, length)) {
		bpf_ringbuf_discard(event, BPF_RB_NO_WAKEUP);
		return 0;
	}
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

/* A second of a flow's own clock, as its `attempts` keep it. */
static __always_inline __u8 second_of(const struct flow *flow)
{
	return flow->last >> (30 - LAST_SHIFT) | 0x80;
}

/* How a TCP connection fares, each second in which its socket sends. */
static __noinline int tell_connection(struct __sk_buff *skb, struct flow *flow, __u32 side, struct totals *totals)
{
	if (!flow || !totals)
		return 0;
	side &= 1;
	flow->attempts[side] = second_of(flow);
	struct bpf_sock *sk = skb->sk;
	if (!sk)
		return 0;
	struct bpf_tcp_sock *tcp = bpf_tcp_sock(sk);
	sk = bpf_sk_fullsock(sk);
	if (!tcp || !sk)
		return 0;
	struct owner *owner = bpf_sk_storage_get(&owners, sk, 0, 0);
	if (!owner)
		return 0;
	struct tcp_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		totals->lost++;
		return 0;
	}
	event->type = EVENT_TCP;
	event->side = side;
	event->id = flow->id;
	event->connect_us = owner->connect_us;
	event->srtt_us = tcp->srtt_us >> 3;
	event->min_rtt_us = tcp->rtt_min;
	event->retransmits = tcp->total_retrans;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

/* The first bytes of a flow whose port says nothing. */
static __always_inline int recognise(struct __sk_buff *skb, const struct packet *packet, struct flow *flow,
				     struct totals *totals)
{
	if (packet->payload_bytes < 3)
		return 0;
	__u8 head[3];
	if (bpf_skb_load_bytes(skb, packet->payload, head, sizeof(head)))
		return 0;
	if (packet->key.protocol == IPPROTO_TCP) {
		/* A TLS record of a handshake, RFC 8446 5.1. */
		if (head[0] != 22 || head[1] != 3)
			return 0;
		__u32 server = packet->side ? 0 : FLOW_SERVER;
		__sync_fetch_and_or(&flow->flags, APPLICATION_TLS << FLOW_APPLICATION | server);
		return tell_payload(skb, packet, flow->id, APPLICATION_TLS, totals);
	}
	/* A long header with the fixed bit. */
	if (packet->payload_bytes >= QUIC_INITIAL_BYTES && (head[0] & 0xc0) == 0xc0 &&
	    flow->packets[0] + flow->packets[1] == packet->segments)
		return tell_payload(skb, packet, flow->id, APPLICATION_QUIC, totals);
	return 0;
}

/* Global, so that the verifier reads it once and not for each way there. */
__noinline int inspect(struct __sk_buff *skb, const struct packet *packet, struct flow *flow, struct totals *totals)
{
	if (!packet || !flow || !totals)
		return 0;
	__u32 flags = flow->flags;
	__u32 application = flags >> FLOW_APPLICATION & 7;
	bool answers = packet->side == ((flags & FLOW_SERVER) != 0);
	switch (application) {
	case APPLICATION_NONE:
		return recognise(skb, packet, flow, totals);
	case APPLICATION_TLS:
		if (answers && __sync_fetch_and_or(&flow->flags, FLOW_HEARD) & FLOW_HEARD)
			return 0;
	case APPLICATION_DNS:
		return tell_payload(skb, packet, flow->id, application, totals);
	default:
		if (answers)
			return end_turn(skb, packet, flow->id, application, totals);
		return begin_turn(skb, packet, flow->id);
	}
}

/* Kept small: it runs for each packet. */
static __always_inline bool is_telling(const struct packet *packet, const struct flow *flow)
{
	if (!packet->payload_bytes || (packet->key.protocol != IPPROTO_TCP && packet->key.protocol != IPPROTO_UDP))
		return false;
	__u32 application = flow->flags >> FLOW_APPLICATION & 7;
	return application > APPLICATION_QUIC || application == APPLICATION_DNS ||
	       flow->packets[packet->side & 1] <= HELLO_PACKETS;
}
