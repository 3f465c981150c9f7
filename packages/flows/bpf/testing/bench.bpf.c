/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* For benches only: drives the shipped accounting code over many flows, which one test packet cannot. */
#define X0_MAPS
/* The capture wants its maps too. */
#include "../policy.h"
#include <linux/pkt_cls.h>

struct request {
	__u32 rounds; /* packets to make up in one run */
	__u32 flows; /* they are spread over so many tuples */
	__u32 seed;
	__u32 mode; /* enum mode */
};

enum mode {
	MODE_EMPTY, /* the loop and the tuple alone, to subtract */
	MODE_ACCOUNT, /* existing flows in random order */
	MODE_FRESH, /* each packet a new flow: `seed` is the first tuple's number */
};

struct walk {
	struct request request;
	struct totals *totals;
	__u64 sink;
};

static long step(__u32 index, struct walk *walk)
{
	struct packet packet = { .bytes = 60, .segments = 1, .tcp_flags = TCP_ACK };
	struct flow_key *key = &packet.key;
	__u32 number;
	if (walk->request.mode == MODE_FRESH) {
		number = walk->request.seed + index;
	} else {
		/* xorshift32, G. Marsaglia: the order of a hash table's worst case. */
		__u32 x = walk->request.seed;
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		walk->request.seed = x;
		number = x % walk->request.flows;
	}
	key->address[0][10] = key->address[0][11] = key->address[1][10] = key->address[1][11] = 0xff;
	*(__u32 *)(key->address[0] + 12) = 0x0100000a;
	*(__u32 *)(key->address[1] + 12) = 0x0000000b + (number >> 14 << 8);
	key->port[0] = 8080;
	key->port[1] = 1024 + (number & 0x3fff);
	key->protocol = IPPROTO_TCP;
	order_sides(&packet);
	if (walk->request.mode == MODE_EMPTY) {
		walk->sink ^= key->port[1]; /* += would widen its range each round, and the verifier never end */
		return 0;
	}
	struct flow *flow = find_flow(&packet);
	if (!flow) {
		flow = create_flow(&packet, 0, 1, walk->totals);
		if (flow)
			emit(EVENT_FLOW_NEW, flow, walk->totals);
	}
	if (flow)
		add_packet(flow, &packet, walk->totals);
	else
		walk->totals->uncounted++;
	return 0;
}

SEC("tc")
int x0_bench(struct __sk_buff *skb)
{
	struct walk walk = { .totals = totals_of(PROGRAM_INGRESS) };
	if (!walk.totals || bpf_skb_load_bytes(skb, ETH_HLEN, &walk.request, sizeof(walk.request)))
		return TC_ACT_SHOT;
	if (!walk.request.flows)
		return TC_ACT_SHOT;
	bpf_loop(walk.request.rounds, step, &walk, 0);
	return walk.sink == 1 ? TC_ACT_SHOT : TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
