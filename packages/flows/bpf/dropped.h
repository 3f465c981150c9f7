/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reading a packet where the kernel gives it up: raw_tp/kfree_skb. */
#pragma once
#include "packet.h"
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct net {
	__u64 net_cookie;
};
typedef struct {
	struct net *net;
} possible_net_t;
struct net_device {
	possible_net_t nd_net;
	int ifindex;
};
struct sock_common {
	possible_net_t skc_net;
};
struct sock {
	struct sock_common __sk_common;
};
struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned int len;
	unsigned int tail; /* an offset from head, as the headers are: 64-bit kernels only */
	unsigned char *head;
	unsigned char *data;
	__be16 protocol;
	__u16 network_header;
};
#pragma clang attribute pop

/* SKB_NOT_DROPPED_YET, SKB_CONSUMED and SKB_DROP_REASON_NOT_SPECIFIED come first in the enumeration. */
#define REASON_FIRST 3

/* What a dropped packet says of itself; its headers may lie anywhere, so they are read as they are in memory. */
static __always_inline int read_headers(struct sk_buff *skb, struct packet *packet)
{
	struct flow_key *key = &packet->key;
	unsigned char *at = BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, network_header);
	__u8 ip[40], transport[16] = {};
	__u32 header, protocol;
	if (bpf_probe_read_kernel(ip, sizeof(ip), at))
		return -1;
	if (ip[0] >> 4 == 4) {
		key->address[0][10] = key->address[0][11] = key->address[1][10] = key->address[1][11] = 0xff;
		__builtin_memcpy(key->address[0] + 12, ip + 12, 4);
		__builtin_memcpy(key->address[1] + 12, ip + 16, 4);
		packet->bytes = ip[2] << 8 | ip[3];
		header = (ip[0] & 15) * 4;
		protocol = ip[9];
		/* A later fragment tells no ports. */
		if ((ip[6] & 0x1f) | ip[7])
			protocol = 255;
	} else if (ip[0] >> 4 == 6) {
		__builtin_memcpy(key->address[0], ip + 8, 16);
		__builtin_memcpy(key->address[1], ip + 24, 16);
		packet->bytes = (ip[4] << 8 | ip[5]) + 40;
		header = 40;
		protocol = ip[6];
	} else {
		return -1;
	}
	key->protocol = protocol;
	bpf_probe_read_kernel(transport, sizeof(transport), at + header);
	read_transport(packet, protocol, transport, sizeof(transport));
	order_sides(packet);
	return 0;
}

/* The kernel's own number of its namespace, 0 if it has none. */
static __always_inline __u64 namespace_of(struct sk_buff *skb)
{
	struct net_device *device = BPF_CORE_READ(skb, dev);
	struct sock *sk = BPF_CORE_READ(skb, sk);
	struct net *net;
	if (sk)
		net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
	else if (device)
		net = BPF_CORE_READ(device, nd_net.net);
	else
		return 0;
	return BPF_CORE_READ(net, net_cookie);
}
