/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A frame's headers: what flow accounting needs, nothing more. IPv4 RFC 791, IPv6 RFC 8200, tags 802.1Q and
 * 802.1ad. src/replay/packet.ts says the same in TypeScript and is tested against this. */
#pragma once
#include "fragments.h"
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <stdbool.h>

#define PACKET_NOT_IP 1
#define PACKET_MALFORMED 2
/* Most bytes of a packet that hold its headers: 14 + 2 tags + 40 + extension headers + 60 of TCP. */
#define HEADERS_MAX 256
#define EXTENSIONS_MAX 8
#define TAGS_MAX 4

#define ICMP_ECHOREPLY 0
#define ICMP_ECHO 8
#define ICMPV6_ECHO 128
#define ICMPV6_ECHOREPLY 129

struct packet {
	struct flow_key key;
	__u32 bytes;
	__u32 segments;
	__u16 icmp;
	__u8 tcp_flags;
	__u8 side; /* of the key that sent it */
	__u32 payload; /* where TCP's or UDP's begins in the buffer */
	__u32 payload_bytes; /* of the whole buffer, 0 for a later fragment */
	__u32 sequence; /* of TCP */
	__u32 ports; /* PORTS_*: where those of the key come from */
};

#define PORTS_READ 0
#define PORTS_REMEMBERED 1 /* a later fragment's: from its first one */
#define PORTS_UNKNOWN 2

/* State while decoding; kept apart from `struct packet` so that it is gone when accounting begins. */
struct cursor {
	__u32 l3;
	__u32 l4;
	__u32 end; /* of the packet by its own length, or of the frame if that is shorter */
	__u32 fragment_id;
	__u8 protocol;
	__u8 fragment_protocol; /* the fragment header's own */
	bool fragment; /* first or later */
	bool later; /* has no layer-4 header */
};

/* IPv6 extension headers, the slow path of a rare packet. One that does not fit is left as the protocol. */
static __noinline int skip_extensions(struct __sk_buff *skb, struct cursor *at)
{
	if (!at)
		return 0;
	for (int i = 0; i < EXTENSIONS_MAX && !at->later; i++) {
		__u8 header[8] = {};
		__u32 length;
		switch (at->protocol) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_AH:
		case IPPROTO_FRAGMENT:
			break;
		default:
			return 0;
		}
		if (at->l4 + 8 > at->end || bpf_skb_load_bytes(skb, at->l4, header, 8))
			return 0;
		if (at->protocol == IPPROTO_FRAGMENT)
			length = 8;
		else
			length = at->protocol == IPPROTO_AH ? (header[1] + 2) * 4 : (header[1] + 1) * 8;
		if (at->l4 + length > at->end)
			return 0;
		if (at->protocol == IPPROTO_FRAGMENT && (header[2] << 8 | (header[3] & 0xf9))) {
			at->fragment = true;
			at->later = (header[2] << 8 | (header[3] & 0xf8)) != 0;
			at->fragment_protocol = header[0];
			__builtin_memcpy(&at->fragment_id, header + 4, 4);
		}
		at->protocol = header[0];
		at->l4 += length;
	}
	return 0;
}

/* The first bytes of layer 4 where they are few, far behind or not in one piece. */
static __noinline int load_header(struct __sk_buff *skb, __u32 at, __u32 readable, __u8 *header)
{
	if (!header)
		return 0;
	if (readable >= 16)
		return bpf_skb_load_bytes(skb, at, header, 16);
	if (readable >= 14)
		return bpf_skb_load_bytes(skb, at, header, 14);
	if (readable >= 6)
		return bpf_skb_load_bytes(skb, at, header, 6);
	if (readable >= 4)
		return bpf_skb_load_bytes(skb, at, header, 4);
	if (readable >= 2)
		return bpf_skb_load_bytes(skb, at, header, 2);
	return 0;
}

static __always_inline bool is_ipv4(const struct flow_key *key)
{
	const __u64 *high = (const __u64 *)key->address[0];
	const __u32 *prefix = (const __u32 *)key->address[0];
	return !high[0] && prefix[2] == bpf_htonl(0xffff);
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
	if (key->echo && !packet->side) {
		/* A host that pings itself: only the type tells request from reply. */
		const __u64 *a = (const __u64 *)key->address[0], *b = (const __u64 *)key->address[1];
		__u8 type = packet->icmp >> 8;
		if (a[0] == b[0] && a[1] == b[1])
			packet->side = type == ICMP_ECHOREPLY || type == ICMPV6_ECHOREPLY;
	}
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
	__u32 size = skb->gso_size;
	packet->bytes = skb->len - at->l3;
	__u32 headers = at->l4 - at->l3 + l4_header;
	if (packet->bytes <= headers)
		return;
	__u32 segments = skb->gso_segs;
	/* An untrusted sender (virtio) may leave the count to the kernel. */
	if (!segments)
		segments = (packet->bytes - headers + size - 1) / size;
	if (segments <= 1)
		return;
	packet->segments = segments;
	packet->bytes += (segments - 1) * headers;
}

/* Ports of a fragment: remembered from the first one of its datagram, looked up for the others. */
static __noinline int fragment_parties(struct packet *packet, const struct cursor *at)
{
	if (!packet || !at)
		return 0;
	struct flow_key *key = &packet->key;
	struct fragment_key id = {
		.id = at->fragment_id,
		.netns = key->netns,
		.protocol = at->fragment_protocol,
	};
	__builtin_memcpy(id.source, key->address[0], 16);
	__builtin_memcpy(id.destination, key->address[1], 16);
	if (at->later) {
		struct fragment_parties *first = bpf_map_lookup_elem(&fragments, &id);
		packet->ports = first ? PORTS_REMEMBERED : PORTS_UNKNOWN;
		if (first) {
			key->port[0] = first->port[0];
			key->port[1] = first->port[1];
			key->protocol = first->protocol;
			key->echo = first->echo;
		}
		return 0;
	}
	struct fragment_parties first = { { key->port[0], key->port[1] }, key->protocol, key->echo };
	bpf_map_update_elem(&fragments, &id, &first, BPF_ANY);
	return 0;
}

/* Layer 4 into the key. */
static __always_inline void read_transport(struct packet *packet, __u8 protocol, const __u8 *header, __u32 readable)
{
	struct flow_key *key = &packet->key;
	switch (protocol) {
	case IPPROTO_TCP:
		if (readable >= 14)
			packet->tcp_flags = header[13];
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
		if (readable < 4)
			return;
		key->port[0] = header[0] << 8 | header[1];
		key->port[1] = header[2] << 8 | header[3];
		return;
	case IPPROTO_ICMP:
		key->echo = header[0] == ICMP_ECHO || header[0] == ICMP_ECHOREPLY;
		break;
	case IPPROTO_ICMPV6:
		key->echo = header[0] == ICMPV6_ECHO || header[0] == ICMPV6_ECHOREPLY;
		break;
	default:
		return;
	}
	if (readable < 2) {
		key->echo = 0;
		return;
	}
	packet->icmp = header[0] << 8 | header[1];
	key->port[0] = key->port[1] = key->echo ? (readable >= 6 ? header[4] << 8 | header[5] : 0) : packet->icmp;
}

/* Fills `packet` but for key.netns, which the caller has set. `l2` is the length of the link's header. */
static __always_inline int decode_linear(struct __sk_buff *skb, __u32 l2, struct packet *packet)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	__u16 protocol = skb->protocol;
	struct cursor at = { .l3 = l2 };
	/* Tags that the device did not take out. */
	for (int i = 0; i < TAGS_MAX && l2; i++) {
		if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD) &&
		    protocol != bpf_htons(ETH_P_QINQ1))
			break;
		__u16 *tag = data + at.l3;
		if ((void *)(tag + 2) > end)
			return PACKET_MALFORMED;
		protocol = tag[1];
		at.l3 += 4;
	}
	/* The kernel takes priority tags off without end. */
	if (l2 && (protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD)))
		return PACKET_MALFORMED;

	struct flow_key *key = &packet->key;
	__u32 available = skb->len - at.l3;
	if (protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = data + at.l3;
		if ((void *)(ip + 1) > end || ip->version != 4)
			return PACKET_MALFORMED;
		key->address[0][10] = key->address[0][11] = key->address[1][10] = key->address[1][11] = 0xff;
		__builtin_memcpy(key->address[0] + 12, &ip->saddr, 4);
		__builtin_memcpy(key->address[1] + 12, &ip->daddr, 4);
		at.protocol = ip->protocol;
		__u32 header = ip->ihl * 4;
		at.l4 = at.l3 + header;
		packet->bytes = bpf_ntohs(ip->tot_len);
		/* Padding of short frames is not on layer 3; an offloaded packet may not state its length. */
		if (packet->bytes == 0 || packet->bytes > available)
			packet->bytes = available;
		if (header < sizeof(*ip) || header > packet->bytes)
			return PACKET_MALFORMED;
		at.end = at.l3 + packet->bytes;
		at.fragment = (ip->frag_off & bpf_htons(0x3fff)) != 0;
		if (at.fragment) {
			at.later = (ip->frag_off & bpf_htons(0x1fff)) != 0;
			at.fragment_id = ip->id;
			at.fragment_protocol = at.protocol;
		}
	} else if (protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = data + at.l3;
		if ((void *)(ip + 1) > end || ip->version != 6)
			return PACKET_MALFORMED;
		__builtin_memcpy(key->address[0], &ip->saddr, 16);
		__builtin_memcpy(key->address[1], &ip->daddr, 16);
		at.protocol = ip->nexthdr;
		at.l4 = at.l3 + sizeof(*ip);
		__u32 payload = bpf_ntohs(ip->payload_len);
		packet->bytes = payload || at.protocol == IPPROTO_NONE ? payload + sizeof(*ip) : available;
		if (packet->bytes > available)
			packet->bytes = available;
		at.end = at.l3 + packet->bytes;
		if (at.protocol != IPPROTO_TCP && at.protocol != IPPROTO_UDP && at.protocol != IPPROTO_ICMPV6) {
			skip_extensions(skb, &at);
			/* It changes nothing in the packet, but the verifier forgets the pointers. */
			data = (void *)(long)skb->data;
			end = (void *)(long)skb->data_end;
		}
	} else {
		return PACKET_NOT_IP;
	}

	key->protocol = at.protocol;
	__u32 readable = at.later || at.end < at.l4 ? 0 : at.end - at.l4;
	__u8 header[16] = {};
	/* A bound that the verifier can see. */
	void *l4 = data + (at.l4 & 0x1ff);
	if (at.l4 <= 0x1ff && readable >= sizeof(header) && l4 + sizeof(header) <= end)
		__builtin_memcpy(header, l4, sizeof(header));
	else if (readable)
		load_header(skb, at.l4, readable, header);
	read_transport(packet, at.protocol, header, readable);
	packet->segments = 1;
	__u32 l4_header = at.protocol == IPPROTO_TCP ? (header[12] >> 4) * 4 : 8;
	if (readable > l4_header) {
		packet->payload = at.l4 + l4_header;
		packet->payload_bytes = readable - l4_header;
		packet->sequence = (__u32)header[4] << 24 | header[5] << 16 | header[6] << 8 | header[7];
	}
	if (skb->gso_size)
		count_segments(skb, packet, &at, l4_header);
	if (at.fragment)
		fragment_parties(packet, &at);
	order_sides(packet);
	return 0;
}

/* The same where headers may lie anywhere. */
static __always_inline int decode(struct __sk_buff *skb, __u32 l2, struct packet *packet)
{
	__u32 linear = skb->data_end - skb->data;
	if (linear < HEADERS_MAX && linear < skb->len)
		bpf_skb_pull_data(skb, skb->len < HEADERS_MAX ? skb->len : HEADERS_MAX);
	return decode_linear(skb, l2, packet);
}
