/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Whose the ends of a flow are, by the sockets there. */
#pragma once
#include "insight.h"

#define TCP_STATE_LISTEN 10

/* The socket of this namespace at a side of a connection, else its listener; released by whoever asked. */
static __always_inline struct bpf_sock *socket_at(struct __sk_buff *skb, const struct flow_key *key, __u8 side)
{
	__u8 here = side & 1, there = !here;
	struct bpf_sock_tuple tuple = {};
	__u32 size;
	if (is_ipv4(key)) {
		size = sizeof(tuple.ipv4);
		__builtin_memcpy(&tuple.ipv4.saddr, key->address[there] + 12, 4);
		__builtin_memcpy(&tuple.ipv4.daddr, key->address[here] + 12, 4);
		tuple.ipv4.sport = bpf_htons(key->port[there]);
		tuple.ipv4.dport = bpf_htons(key->port[here]);
	} else {
		size = sizeof(tuple.ipv6);
		__builtin_memcpy(tuple.ipv6.saddr, key->address[there], 16);
		__builtin_memcpy(tuple.ipv6.daddr, key->address[here], 16);
		tuple.ipv6.sport = bpf_htons(key->port[there]);
		tuple.ipv6.dport = bpf_htons(key->port[here]);
	}
	if (key->protocol == IPPROTO_TCP)
		return bpf_sk_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (key->protocol == IPPROTO_UDP)
		return bpf_sk_lookup_udp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	return 0;
}

/* The owner of the socket that sent this packet, at egress of what this host sends. */
static __noinline int attribute_sender(struct __sk_buff *skb, struct flow *flow, __u32 side)
{
	if (!flow)
		return 0;
	side &= 1;
	flow->attempts[side]++;
	struct bpf_sock *sk = skb->sk;
	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 0;
	struct owner *owner = bpf_sk_storage_get(&owners, sk, 0, 0);
	if (!owner)
		return 0;
	struct flow_detail *detail = detail_of(flow);
	if (detail)
		detail->cookie[side] = bpf_get_socket_cookie(skb);
	flow->process[side] = owner->process;
	owner->flow = flow->id;
	owner->side = side;
	/* An accepted connection belongs to who uses it, which is often not who listened. */
	if (owner->settled)
		flow->attempts[side] = second_of(flow);
	if (flow->attempts[side] >= OWNER_ATTEMPTS)
		__sync_fetch_and_or(&flow->flags, FLOW_OWNED << side);
	return 0;
}

/* The owner of the socket that will receive this packet: a connection's, else its listener's. */
static __noinline int attribute_receiver(struct __sk_buff *skb, struct flow *flow, const struct packet *packet)
{
	if (!flow || !packet)
		return 0;
	const struct flow_key *key = &packet->key;
	__u8 to = !(packet->side & 1);
	struct bpf_sock *sk = socket_at(skb, key, to);
	if (!sk)
		return 0;
	struct owner *owner = bpf_sk_storage_get(&owners, sk, 0, 0);
	if (owner) {
		flow->process[to] = owner->process;
		/* Of a listener only a first guess: the connection's own socket tells at its first packet back. */
		if (sk->state != TCP_STATE_LISTEN) {
			struct flow_detail *detail = detail_of(flow);
			if (detail)
				detail->cookie[to] = owner->cookie;
			__sync_fetch_and_or(&flow->flags, FLOW_OWNED << to);
		}
	}
	bpf_sk_release(sk);
	return 0;
}
