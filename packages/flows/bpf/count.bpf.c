/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Counts each packet of a network namespace once, in the flow it belongs to.
 *
 * What this host sends counts at egress, all else at ingress, loopback at egress. User space attaches these
 * only to the lowest devices: a bridge, bond, VLAN or macvlan shows the packets of the devices below it once
 * more. A packet that was received and leaves again was counted when it came, unless it came by a device that is
 * not observed; leaving tells that its flow is forwarded. A packet is what the wire carries, not a buffer:
 * segmentation offload is undone.
 *
 * Every verdict is "next": other programs on the device see every packet.
 */
#define X0_MAPS
#include "attribute.h"
#include "names.h"
#include "policy.h"
#include "workload.h"
#include <linux/pkt_cls.h>

#define NEXT TC_ACT_UNSPEC
#define PACKET_LOOPBACK 5

/* For devices without an Ethernet header and for other namespaces: a stub of a few instructions, made by user
 * space, writes the namespace's number and what the device is here and jumps into the program below. */
#define CB_NETNS 0
#define CB_DEVICE 1

/* What a device is; the shipped programs are for one of the agent's own that has an Ethernet header and no other. */
enum device {
	DEVICE_ETHERNET = 1 << 0,
	DEVICE_COUNTS = 1 << 1, /* and no more: its packets come to a device above it, which judges them */
	DEVICE_JUDGES = 1 << 2, /* and no more than it drops: what passes is counted by a device below, or by nobody */
	DEVICE_ABOVE = 1 << 3, /* what comes in was counted by a device below */
};

#define PACKET_OTHERHOST 3
#define DROP TC_ACT_SHOT

/* Whether the node's policy has a say in what passes this device. */
static __always_inline bool is_judged(struct __sk_buff *skb, const struct policy_state *state, __u32 netns,
				      __u32 device, bool egress, bool loopback)
{
	if (!state || netns || device & DEVICE_COUNTS)
		return false;
	if (loopback)
		return judges_loopback(state);
	/* What is only forwarded neither reaches nor leaves this host. */
	return egress ? !skb->ingress_ifindex : skb->pkt_type != PACKET_OTHERHOST;
}

static __always_inline int count(struct __sk_buff *skb, __u32 program, __u32 netns, __u32 device)
{
	bool egress = program == PROGRAM_EGRESS;
	struct totals *totals = totals_of(program);
	if (!totals)
		return NEXT;
	totals->events++;
	/* Our own multicast or broadcast, handed back for local members: counted when it left. */
	if (!egress && skb->pkt_type == PACKET_LOOPBACK)
		return NEXT;
	/* First of all: the verifier reads it once for each way that leads here. */
	struct packet packet = { .key.netns = netns };
	int error = decode(skb, device & DEVICE_ETHERNET ? ETH_HLEN : 0, &packet);
	forget_ways(&packet);

	bool loopback = egress && skb->ifindex == LOOPBACK_IFINDEX;
	bool forwarded = egress && skb->ingress_ifindex && !loopback;
	__u64 from = (__u64)netns << 32 | skb->ingress_ifindex;
	bool counted = device & DEVICE_JUDGES || (forwarded && !bpf_map_lookup_elem(&unobserved, &from));
	__u32 none = 0, how = egress ? JUDGE_LEAVING : 0;
	struct policy_state *state = bpf_map_lookup_elem(&policy, &none);
	bool judged = is_judged(skb, state, netns, device, egress, loopback);
	if (error) {
		if (!counted) {
			if (error == PACKET_NOT_IP)
				totals->not_ip++;
			else
				totals->malformed++;
		}
		/* A policy says nothing of ARP; of what it cannot read it lets nothing pass. */
		return error != PACKET_NOT_IP && judged && generation_in_force(state) ? DROP : NEXT;
	}

	struct flow *flow = find_flow(&packet);
	bool fresh = !flow;
	if (fresh) {
		__u32 flags = loopback ? FLOW_LOOPBACK : 0;
		if (egress)
			flags |= FLOW_EGRESS_FIRST;
		if (forwarded)
			flags = FLOW_FORWARDED;
		flow = create_flow(&packet, flags, skb->ifindex, totals);
		if (!flow) {
			if (!counted)
				totals->uncounted += packet.segments;
			return judged && judge_anew(skb, &packet, 0, generation_in_force(state), how) ? DROP : NEXT;
		}
	}
	if (forwarded && !(flow->flags & FLOW_FORWARDED))
		__sync_fetch_and_or(&flow->flags, FLOW_FORWARDED);
	/* What a bridge floods may be for this host as well: at its ports that is not decided. */
	if (forwarded && state && !netns && !(device & DEVICE_COUNTS))
		let_answers_pass(&packet, flow, state);
	bool drop = judged && judge(skb, &packet, flow, fresh ? how | JUDGE_FRESH : how, state);
	if (!drop && is_naming(&packet, flow) && !(device & DEVICE_COUNTS))
		learn(skb, &packet, flow, how);
	/* No other device sees it; what came up from one was seen there. */
	if (drop && (egress || !(device & DEVICE_ABOVE)))
		counted = false;
	if (counted) {
		/* Address translation gave it another tuple: that side is a flow of its own, with no packet yet. What a
		 * device above lets pass is told when it is counted. */
		if (fresh && (drop || !(device & DEVICE_JUDGES)))
			emit(EVENT_FLOW_NEW, flow, totals);
		return drop ? DROP : NEXT;
	}
	bool closed = add_packet(flow, &packet, totals);
	__u8 side = packet.side & 1;
	if (egress && !forwarded) {
		if (flow->attempts[side] < OWNER_ATTEMPTS)
			attribute_sender(skb, flow, side);
		else if (packet.key.protocol == IPPROTO_TCP && flow->attempts[side] != second_of(flow))
			tell_connection(skb, flow, side, totals);
	}
	if (fresh) {
		if (!egress || loopback)
			attribute_receiver(skb, flow, &packet);
		emit(EVENT_FLOW_NEW, flow, totals);
	}
	if (!drop && is_telling(&packet, flow))
		inspect(skb, &packet, flow, totals);
	if (closed)
		emit(EVENT_FLOW_CLOSED, flow, totals);
	return drop ? DROP : NEXT;
}

SEC("tc")
int x0_ingress(struct __sk_buff *skb)
{
	return count(skb, PROGRAM_INGRESS, 0, DEVICE_ETHERNET);
}

SEC("tc")
int x0_egress(struct __sk_buff *skb)
{
	return count(skb, PROGRAM_EGRESS, 0, DEVICE_ETHERNET);
}

SEC("tc")
int x0_ingress_cb(struct __sk_buff *skb)
{
	return count(skb, PROGRAM_INGRESS, skb->cb[CB_NETNS], skb->cb[CB_DEVICE]);
}

SEC("tc")
int x0_egress_cb(struct __sk_buff *skb)
{
	return count(skb, PROGRAM_EGRESS, skb->cb[CB_NETNS], skb->cb[CB_DEVICE]);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
