/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Packets that the kernel gives up, with its reason. The tracepoint has carried one since Linux 5.17; what is freed
 * without a reason is not told: most of it is no loss.
 */
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
	unsigned char *head;
	unsigned char *data;
	__be16 protocol;
	__u16 network_header;
};
#pragma clang attribute pop

/* SKB_NOT_DROPPED_YET, SKB_CONSUMED and SKB_DROP_REASON_NOT_SPECIFIED come first in the enumeration. */
#define REASON_FIRST 3

static __always_inline int read_headers(struct sk_buff *skb, struct drop_event *event, struct packet *packet)
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
		event->bytes = ip[2] << 8 | ip[3];
		header = (ip[0] & 15) * 4;
		protocol = ip[9];
		/* A later fragment tells no ports. */
		if ((ip[6] & 0x1f) | ip[7])
			protocol = 255;
	} else if (ip[0] >> 4 == 6) {
		__builtin_memcpy(key->address[0], ip + 8, 16);
		__builtin_memcpy(key->address[1], ip + 24, 16);
		event->bytes = (ip[4] << 8 | ip[5]) + 40;
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

static __always_inline __u32 *namespace_of(struct sk_buff *skb)
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
	__u64 cookie = BPF_CORE_READ(net, net_cookie);
	return bpf_map_lookup_elem(&namespaces, &cookie);
}

static __always_inline void count_reason(__u32 reason)
{
	__u64 one = 1, *count = bpf_map_lookup_elem(&drops, &reason);
	if (count)
		(*count)++;
	else
		bpf_map_update_elem(&drops, &reason, &one, BPF_NOEXIST);
}

/* A function of its own so that BTF, and with it src/generated/layout.ts, knows the event. */
static __noinline int fill_drop(struct drop_event *event, const struct packet *packet)
{
	if (!event || !packet)
		return 0;
	event->type = EVENT_DROP;
	event->side = packet->side;
	event->tcp_flags = packet->tcp_flags;
	__builtin_memcpy(&event->key, &packet->key, sizeof(event->key));
	return 0;
}

SEC("raw_tp/kfree_skb")
int x0_dropped(struct bpf_raw_tracepoint_args *ctx)
{
	struct sk_buff *skb = (void *)ctx->args[0];
	__u32 reason = ctx->args[2];
	if (reason < REASON_FIRST || bpf_map_lookup_elem(&harmless, &reason))
		return 0;
	__u32 *netns = namespace_of(skb);
	struct totals *totals = totals_of(PROGRAM_DROPS);
	if (!netns || !totals)
		return 0;
	struct drop_event fresh = {};
	struct packet packet = { .key.netns = *netns };
	if (read_headers(skb, &fresh, &packet)) {
		totals->not_ip++;
		return 0;
	}
	totals->events++;
	count_reason(reason);
	__u64 now = bpf_ktime_get_ns();
	if (!may_tell(totals, now))
		return 0;
	struct drop_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		totals->lost++;
		return 0;
	}
	fill_drop(event, &packet);
	struct net_device *device = BPF_CORE_READ(skb, dev);
	struct flow *flow = bpf_map_lookup_elem(&flows, &packet.key);
	event->reason = reason;
	event->id = flow ? flow->id : 0;
	event->time_ns = now;
	event->ifindex = device ? BPF_CORE_READ(device, ifindex) : 0;
	event->bytes = fresh.bytes;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
