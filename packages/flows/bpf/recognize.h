/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a packet is, as far as policy treats it apart: needed by any network, an error, unreadable, only forwarded. */
#pragma once
#include "account.h"

/*
 * Makes the verifier forget what it knows of a packet's fields from each way through decoding, so that it reads what
 * follows once: what a global function gets the address of may have changed.
 */
__noinline int forget_ways(struct packet *packet)
{
	asm volatile("" ::: "memory");
	return packet != 0;
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

/* Whether this host forwards the packet instead of taking it; what the routes do not say is taken. */
static __noinline bool is_passing_through(struct __sk_buff *skb, const struct packet *packet)
{
	if (!packet)
		return false;
	const struct flow_key *key = &packet->key;
	__u8 from = packet->side & 1;
	struct bpf_fib_lookup route = { .ifindex = skb->ifindex, .l4_protocol = key->protocol };
	if (is_ipv4(key)) {
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

/* An extension header that decoding gave up at: what lies behind it could be anything. */
static __always_inline bool is_hidden(const struct packet *packet)
{
	if (is_ipv4(&packet->key))
		return false;
	switch (packet->key.protocol) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_AH:
	case IPPROTO_FRAGMENT:
		return true;
	}
	return false;
}

/* TCP without a flag, which no stack sends: cut off before it, as the first of tiny fragments may be (RFC 1858). */
static __always_inline bool is_torn(const struct packet *packet)
{
	return packet->key.protocol == IPPROTO_TCP && packet->ports == PORTS_READ && !packet->tcp_flags;
}
