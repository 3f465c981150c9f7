/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Packets that the kernel gives up, with its reason. The tracepoint has carried one since Linux 5.17; what is freed
 * without a reason is not told: most of it is no loss.
 */
#include "dropped.h"
#include "flow-table.h"

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
	__u64 cookie = namespace_of(skb);
	__u32 *netns = bpf_map_lookup_elem(&namespaces, &cookie);
	struct totals *totals = totals_of(PROGRAM_DROPS);
	if (!netns || !totals)
		return 0;
	totals->events++;
	count_reason(reason);
	/* Before the headers are read: a receiver that overflows drops a packet of each two. */
	__u64 now = bpf_ktime_get_ns();
	if (!may_tell(totals, now, WINDOW_DROPS))
		return 0;
	struct packet packet = { .key.netns = *netns };
	/* What is no IP has no flow to tell it of; it stands in the counts. */
	if (read_headers(skb, &packet))
		return 0;
	struct drop_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		totals->lost++;
		return 0;
	}
	fill_drop(event, &packet);
	struct net_device *device = BPF_CORE_READ(skb, dev);
	struct flow *flow = flow_of(&packet.key);
	event->reason = reason;
	event->id = flow ? flow->id : 0;
	event->time_ns = now;
	event->ifindex = device ? BPF_CORE_READ(device, ifindex) : 0;
	event->bytes = packet.bytes;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
