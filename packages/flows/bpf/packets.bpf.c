/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Packet capture: what matches a filter goes to a ring with its bytes. Loaded and attached only while somebody
 * captures. A packet is taken at each observed device that it passes, as a sniffer on that device would take it: a
 * forwarded one twice, so that both sides of a translation are there to compare. Loopback is taken once, at egress.
 */
#define X0_MAPS
#include "packets.h"
#include "dropped.h"
#include <linux/pkt_cls.h>

#define NEXT TC_ACT_UNSPEC
#define PACKET_LOOPBACK 5
#define CB_NETNS 0
#define CB_L2 1
#define SCRATCH_DEVICE 0
#define SCRATCH_DROP 1

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} packets SEC(".maps");

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct packet_filter);
} packet_filter SEC(".maps");

/* namespace << 32 | device, the highest bit for what was dropped there */
X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct packet_counts);
} counts SEC(".maps");

/* Observed namespaces: the kernel's cookie → our number. */
X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u32);
} captured_namespaces SEC(".maps");

/* A record is of any length, which only bpf_ringbuf_output allows; a drop may interrupt a device's program. */
struct scratch {
	struct packet_record record;
	__u8 bytes[SNAP_MAX];
};

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline bool in_prefix(const struct packet_filter *filter, const __u8 *address)
{
	const __u64 *words = (const __u64 *)address;
	if (filter->flags & PACKET_FILTER_SIX && !words[0] && *(const __u32 *)(address + 8) == bpf_htonl(0xffff))
		return false;
	return !((words[0] ^ filter->address[0]) & filter->mask[0]) &&
	       !((words[1] ^ filter->address[1]) & filter->mask[1]);
}

static __noinline int matches(const struct packet_filter *filter, const struct packet *packet)
{
	if (!filter || !packet)
		return 0;
	const struct flow_key *key = &packet->key;
	if (filter->flags & PACKET_FILTER_PROTOCOL && key->protocol != filter->protocol)
		return 0;
	if (filter->flags & PACKET_FILTER_PORT) {
		/* Ports of ICMP are none. */
		if (key->protocol == IPPROTO_ICMP || key->protocol == IPPROTO_ICMPV6)
			return 0;
		if (key->port[0] != filter->port && key->port[1] != filter->port)
			return 0;
	}
	if (filter->flags & PACKET_FILTER_ADDRESS)
		return in_prefix(filter, key->address[0]) || in_prefix(filter, key->address[1]);
	return 1;
}

static __noinline struct packet_counts *counts_of(__u64 place)
{
	struct packet_counts *found = bpf_map_lookup_elem(&counts, &place);
	if (found)
		return found;
	struct packet_counts none = {};
	bpf_map_update_elem(&counts, &place, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&counts, &place);
}

static __always_inline int take(struct __sk_buff *skb, bool egress, __u32 netns, __u32 l2)
{
	__u32 zero = 0, which = SCRATCH_DEVICE;
	const struct packet_filter *filter = bpf_map_lookup_elem(&packet_filter, &zero);
	/* Own multicast that comes back was taken when it left. */
	if (!filter || (!egress && skb->pkt_type == PACKET_LOOPBACK))
		return NEXT;
	struct packet packet = { .key.netns = netns };
	if (decode(skb, l2, &packet)) {
		if (filter->flags)
			return NEXT;
		/* What is no IP, or broken, is taken where everything is. */
		struct packet none = { .key.netns = netns };
		packet = none;
	} else if (!matches(filter, &packet)) {
		return NEXT;
	}
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &which);
	struct packet_counts *counts = counts_of((__u64)netns << 32 | skb->ifindex);
	if (!scratch || !counts)
		return NEXT;
	counts->matched++;
	__u32 length = skb->len;
	if (length > filter->snap)
		length = filter->snap;
	/* The verifier takes a bound from this, whatever the filter says. */
	if (length > SNAP_MAX)
		length = SNAP_MAX;
	if (length == 0 || bpf_skb_load_bytes(skb, 0, scratch->bytes, length)) {
		counts->lost++;
		return NEXT;
	}
	struct packet_record *record = &scratch->record;
	record->time_ns = bpf_ktime_get_ns();
	__builtin_memcpy(&record->key, &packet.key, sizeof(record->key));
	record->ifindex = skb->ifindex;
	record->length = skb->len;
	record->captured = length;
	record->flags = (egress ? RECORD_EGRESS : 0) | (l2 ? RECORD_ETHERNET : 0) | (packet.side ? RECORD_SIDE : 0);
	record->reason = 0;
	record->vlan_tci = 0;
	record->vlan_protocol = 0;
	if (skb->vlan_present && l2) {
		record->flags |= RECORD_TAGGED;
		record->vlan_tci = skb->vlan_tci;
		record->vlan_protocol = bpf_ntohs(skb->vlan_proto);
	}
	if (bpf_ringbuf_output(&packets, scratch, sizeof(*record) + length, BPF_RB_NO_WAKEUP))
		counts->lost++;
	return NEXT;
}

SEC("tc")
int x0_take_ingress(struct __sk_buff *skb)
{
	return take(skb, false, 0, ETH_HLEN);
}

SEC("tc")
int x0_take_egress(struct __sk_buff *skb)
{
	return take(skb, true, 0, ETH_HLEN);
}

SEC("tc")
int x0_take_ingress_cb(struct __sk_buff *skb)
{
	return take(skb, false, skb->cb[CB_NETNS], skb->cb[CB_L2] ? ETH_HLEN : 0);
}

SEC("tc")
int x0_take_egress_cb(struct __sk_buff *skb)
{
	return take(skb, true, skb->cb[CB_NETNS], skb->cb[CB_L2] ? ETH_HLEN : 0);
}

/* Of a dropped packet the part in one piece, from the IP header on: the link's header may be gone by then. */
SEC("raw_tp/kfree_skb")
int x0_take_dropped(struct bpf_raw_tracepoint_args *ctx)
{
	struct sk_buff *skb = (void *)ctx->args[0];
	__u32 reason = ctx->args[2], zero = 0, which = SCRATCH_DROP;
	if (reason < REASON_FIRST)
		return 0;
	__u64 cookie = namespace_of(skb);
	__u32 *netns = bpf_map_lookup_elem(&captured_namespaces, &cookie);
	const struct packet_filter *filter = bpf_map_lookup_elem(&packet_filter, &zero);
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &which);
	if (!netns || !filter || !scratch)
		return 0;
	struct packet packet = { .key.netns = *netns };
	if (read_headers(skb, &packet) || !matches(filter, &packet))
		return 0;
	struct net_device *device = BPF_CORE_READ(skb, dev);
	__u32 ifindex = device ? BPF_CORE_READ(device, ifindex) : 0;
	struct packet_counts *counts = counts_of(1ULL << 63 | (__u64)*netns << 32 | ifindex);
	if (!counts)
		return 0;
	counts->matched++;
	__u32 start = BPF_CORE_READ(skb, network_header), end = BPF_CORE_READ(skb, tail);
	__u32 length = end > start ? end - start : 0;
	if (length > packet.bytes)
		length = packet.bytes;
	if (length > filter->snap)
		length = filter->snap;
	if (length > SNAP_MAX)
		length = SNAP_MAX;
	if (length == 0 || bpf_probe_read_kernel(scratch->bytes, length, BPF_CORE_READ(skb, head) + start)) {
		counts->lost++;
		return 0;
	}
	struct packet_record *record = &scratch->record;
	record->time_ns = bpf_ktime_get_ns();
	__builtin_memcpy(&record->key, &packet.key, sizeof(record->key));
	record->ifindex = ifindex;
	record->length = packet.bytes;
	record->captured = length;
	record->flags = RECORD_DROPPED | (packet.side ? RECORD_SIDE : 0);
	record->reason = reason;
	record->vlan_tci = 0;
	record->vlan_protocol = 0;
	if (bpf_ringbuf_output(&packets, scratch, sizeof(*record) + length, BPF_RB_NO_WAKEUP))
		counts->lost++;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
