/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A frame's headers: what flow accounting needs, nothing more. IPv4 RFC 791, IPv6 RFC 8200, tags 802.1Q and
 * 802.1ad. src/replay/packet.ts says the same in TypeScript and is tested against this. */
#pragma once
#include "maps.h"
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <stdbool.h>

#define PACKET_NOT_IP 1
#define PACKET_MALFORMED 2
/* Most bytes of a packet that hold its headers: 14 + 2 tags + 40 + extension headers + 60 of TCP. */
#define HEADERS_MAX 256
#define EXTENSIONS_MAX 8

#define ICMP_ECHOREPLY 0
#define ICMP_ECHO 8
#define ICMPV6_ECHO 128
#define ICMPV6_ECHOREPLY 129

/* ICMP and ICMPv6 begin alike (RFC 792, RFC 4443); <linux/icmp.h> needs the C library. */
struct icmp_header {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__u16 id;
	__u16 sequence;
};

struct packet {
	struct flow_key key;
	__u32 bytes;
	__u32 segments;
	__u16 icmp;
	__u8 tcp_flags;
	__u8 side; /* of the key that sent it */
};

/* State while decoding; kept apart from `struct packet` so that it is gone when accounting begins. */
struct cursor {
	__u32 l3;
	__u32 l4;
	__u32 fragment_id;
	__u8 protocol;
	bool fragment; /* first or later */
	bool later; /* has no layer-4 header */
};

/* IPv6 extension headers, the slow path of a rare packet. 0, or PACKET_MALFORMED. */
static __noinline int skip_extensions(struct __sk_buff *skb, struct cursor *at)
{
	if (!at)
		return PACKET_MALFORMED;
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		__u8 header[8] = {};
		__u32 length = 0;
		switch (at->protocol) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_AH:
			if (bpf_skb_load_bytes(skb, at->l4, header, 2))
				return PACKET_MALFORMED;
			length = at->protocol == IPPROTO_AH ? (header[1] + 2) * 4 : (header[1] + 1) * 8;
			break;
		case IPPROTO_FRAGMENT:
			if (bpf_skb_load_bytes(skb, at->l4, header, 8))
				return PACKET_MALFORMED;
			length = 8;
			at->fragment = (header[2] << 8 | (header[3] & 0xf9)) != 0;
			at->later = (header[2] << 8 | (header[3] & 0xf8)) != 0;
			__builtin_memcpy(&at->fragment_id, header + 4, 4);
			break;
		default:
			return 0;
		}
		at->protocol = header[0];
		at->l4 += length;
		if (at->later)
			return 0;
	}
	return 0;
}

/* Total order of (address, port) pairs, any will do: as little-endian words. */
static __always_inline bool second_is_lower(const struct flow_key *key)
{
	const __u64 *a = (const __u64 *)key->address[0], *b = (const __u64 *)key->address[1];
	if (a[0] != b[0])
		return b[0] < a[0];
	if (a[1] != b[1])
		return b[1] < a[1];
	return key->port[1] < key->port[0];
}

static __always_inline void order_sides(struct packet *packet)
{
	struct flow_key *key = &packet->key;
	packet->side = second_is_lower(key);
	if (!packet->side)
		return;
	__u64 *a = (__u64 *)key->address[0], *b = (__u64 *)key->address[1];
	__u64 high = a[0], low = a[1];
	a[0] = b[0];
	a[1] = b[1];
	b[0] = high;
	b[1] = low;
	__u16 port = key->port[0];
	key->port[0] = key->port[1];
	key->port[1] = port;
}

/* How many packets a segmentation-offload buffer becomes, and how many header bytes each further one adds. */
static __always_inline void count_segments(struct __sk_buff *skb, struct packet *packet, const struct cursor *at,
					   __u32 l4_header)
{
	packet->segments = 1;
	__u32 size = skb->gso_size;
	if (!size)
		return;
	packet->bytes = skb->len - at->l3;
	__u32 headers = at->l4 - at->l3 + l4_header;
	if (packet->bytes <= headers)
		return;
	__u32 segments = skb->gso_segs;
	/* An untrusted sender (virtio) leaves the count to the kernel, which may not have filled it in yet. */
	if (!segments)
		segments = (packet->bytes - headers + size - 1) / size;
	if (segments <= 1)
		return;
	packet->segments = segments;
	packet->bytes += (segments - 1) * headers;
}

/* Ports of a fragment: remembered from the first one of its datagram, looked up for the others. */
static __noinline void fragment_ports(struct packet *packet, const struct cursor *at)
{
	if (!packet || !at)
		return;
	struct flow_key *key = &packet->key;
	struct fragment_key id = { .id = at->fragment_id, .netns = key->netns, .protocol = key->protocol };
	__builtin_memcpy(id.source, key->address[0], 16);
	__builtin_memcpy(id.destination, key->address[1], 16);
	if (at->later) {
		struct fragment_ports *ports = bpf_map_lookup_elem(&fragments, &id);
		if (ports) {
			key->port[0] = ports->source;
			key->port[1] = ports->destination;
		}
		return;
	}
	struct fragment_ports ports = { key->port[0], key->port[1] };
	bpf_map_update_elem(&fragments, &id, &ports, BPF_ANY);
}

/* Fills `packet` but for key.netns, which the caller has set. `l2` is the length of the link's header. */
static __always_inline int decode(struct __sk_buff *skb, __u32 l2, struct packet *packet)
{
	__u32 linear = skb->data_end - skb->data;
	if (linear < HEADERS_MAX && linear < skb->len)
		bpf_skb_pull_data(skb, skb->len < HEADERS_MAX ? skb->len : HEADERS_MAX);
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	__u16 protocol = skb->protocol;
	struct cursor at = { .l3 = l2 };
	/* Tags that the device did not take out. */
	for (int i = 0; i < 2 && l2; i++) {
		if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD))
			break;
		__u16 *tag = data + at.l3;
		if ((void *)(tag + 2) > end)
			return PACKET_MALFORMED;
		protocol = tag[1];
		at.l3 += 4;
	}

	struct flow_key *key = &packet->key;
	__u32 available = skb->len - at.l3;
	if (protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = data + at.l3;
		if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
			return PACKET_MALFORMED;
		key->address[0][10] = key->address[0][11] = key->address[1][10] = key->address[1][11] = 0xff;
		__builtin_memcpy(key->address[0] + 12, &ip->saddr, 4);
		__builtin_memcpy(key->address[1] + 12, &ip->daddr, 4);
		at.protocol = ip->protocol;
		at.l4 = at.l3 + ip->ihl * 4;
		packet->bytes = bpf_ntohs(ip->tot_len);
		at.fragment = (ip->frag_off & bpf_htons(0x3fff)) != 0;
		if (at.fragment) {
			at.later = (ip->frag_off & bpf_htons(0x1fff)) != 0;
			at.fragment_id = ip->id;
		}
	} else if (protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = data + at.l3;
		if ((void *)(ip + 1) > end || ip->version != 6)
			return PACKET_MALFORMED;
		__builtin_memcpy(key->address[0], &ip->saddr, 16);
		__builtin_memcpy(key->address[1], &ip->daddr, 16);
		at.protocol = ip->nexthdr;
		at.l4 = at.l3 + sizeof(*ip);
		packet->bytes = ip->payload_len ? bpf_ntohs(ip->payload_len) + sizeof(*ip) : available;
		if (at.protocol != IPPROTO_TCP && at.protocol != IPPROTO_UDP && at.protocol != IPPROTO_ICMPV6 &&
		    skip_extensions(skb, &at))
			return PACKET_MALFORMED;
		/* The subprogram may have changed nothing, but the verifier forgets the pointers. */
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
	} else {
		return PACKET_NOT_IP;
	}
	/* Padding of short frames is not on layer 3; a jumbo or offloaded packet may not state its length. */
	if (packet->bytes == 0 || packet->bytes > available)
		packet->bytes = available;

	key->protocol = at.protocol;
	__u32 l4_header = 0;
	if (!at.later && at.l4 <= 0xffff) {
		/* The verifier needs a bound that it can see. */
		void *l4 = data + (at.l4 & 0x3ff);
		if (at.l4 > 0x3ff) {
			/* Longer extension headers than any host sends: the ports stay 0. */
		} else if (at.protocol == IPPROTO_TCP) {
			struct tcphdr *tcp = l4;
			if ((void *)(tcp + 1) <= end) {
				key->port[0] = bpf_ntohs(tcp->source);
				key->port[1] = bpf_ntohs(tcp->dest);
				packet->tcp_flags = ((__u8 *)tcp)[13];
				l4_header = tcp->doff * 4;
			}
		} else if (at.protocol == IPPROTO_UDP || at.protocol == IPPROTO_UDPLITE ||
			   at.protocol == IPPROTO_SCTP) {
			struct udphdr *udp = l4;
			if ((void *)(udp + 1) <= end) {
				key->port[0] = bpf_ntohs(udp->source);
				key->port[1] = bpf_ntohs(udp->dest);
				l4_header = sizeof(*udp);
			}
		} else if (at.protocol == IPPROTO_ICMP || at.protocol == IPPROTO_ICMPV6) {
			struct icmp_header *icmp = l4;
			if ((void *)(icmp + 1) <= end) {
				__u8 type = icmp->type;
				bool echo = at.protocol == IPPROTO_ICMP ?
						    type == ICMP_ECHO || type == ICMP_ECHOREPLY :
						    type == ICMPV6_ECHO || type == ICMPV6_ECHOREPLY;
				packet->icmp = type << 8 | icmp->code;
				key->port[0] = key->port[1] = echo ? bpf_ntohs(icmp->id) : packet->icmp;
			}
		}
	}
	count_segments(skb, packet, &at, l4_header);
	if (at.fragment)
		fragment_ports(packet, &at);
	order_sides(packet);
	return 0;
}
