/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the kernel side and user space share. `npm run generate` reads these structs from the object's BTF
 * and writes their offsets to src/generated/layout.ts: nothing else tells user space where a field lies. */
#pragma once
#include <linux/types.h>

/*
 * One connection in one network namespace, whoever sends: both directions share one entry.
 *
 * Key and value are laid out for the cache: the kernel puts 48 bytes before them, so that an element is three
 * lines of 64 bytes, and a packet of a known flow touches only the first two (the counters end at byte 128).
 */
struct flow_key {
	/* IPv4 as ::ffff:a.b.c.d. Side 0 is the lower (address, port) in the order of `order_sides`. */
	__u8 address[2][16];
	/* Host order. ICMP: the identifier of an echo, else type << 8 | code, on both sides. */
	__u16 port[2];
	/* Number that user space gave to the namespace; 0 is the agent's own. */
	__u16 netns;
	__u8 protocol;
	__u8 echo; /* 1 for ICMP echo, whose identifier may equal another message's type and code */
};

enum flow_flag {
	FLOW_FORWARDED = 1 << 0, /* seen leaving for another host */
	FLOW_LOOPBACK = 1 << 1,
	FLOW_EGRESS_FIRST = 1 << 2, /* this host sent the first packet */
	FLOW_OPENER = 1 << 3, /* the side that opened it: set = side 1 */
	FLOW_OPENER_GUESSED = 1 << 4, /* no SYN and no request was seen */
	FLOW_CLOSED = 1 << 5, /* TCP: RST, or FIN from both sides */
	FLOW_FIRST_SENDER = 1 << 6, /* the side that sent the first packet: set = side 1 */
	FLOW_TCP_FLAGS = 8, /* shift: TCP flags of side 0; side 1 is 8 bits further */
	FLOW_OWNED = 1 << 24, /* cookie and process of side 0 are known; side 1 is the next bit */
};

#define LAST_SHIFT 17 /* unit of a flow's `last`: 0.13 ms */

/*
 * The first 48 bytes change with each packet; behind them only what FLOW_OWNED tells. User space copies the rest
 * only when the flags have changed.
 */
struct flow {
	__u64 packets[2]; /* sent by side 0, side 1; on the wire: a segmentation-offload buffer is many */
	__u64 bytes[2]; /* layer 3, on the wire */
	__u32 last; /* CLOCK_MONOTONIC >> LAST_SHIFT; wraps after 6.5 days, an idle flow ends long before */
	__u32 flags; /* enum flow_flag */
	__u64 id; /* unique while the programs are loaded: a count on each CPU, the CPU in the low 10 bits */
	__u64 first_ns; /* CLOCK_MONOTONIC */
	__u64 cookie[2]; /* socket cookie of the local socket, 0 if none or unknown */
	__u64 process[2]; /* key of `processes`, 0 if not local or unknown */
	__u32 ifindex; /* where the first packet was counted */
	__u16 icmp; /* type << 8 | code of the first packet */
	__u8 attempts[2]; /* how often the owner of a side's socket was looked for in vain */
	__u64 pad; /* to three cache lines */
};

enum event_type {
	EVENT_FLOW_NEW = 1,
	EVENT_FLOW_CLOSED = 2,
	EVENT_FLOW_REPLACED = 3, /* closed and its tuple used again: these are its last figures */
};

struct flow_event {
	__u32 type; /* enum event_type */
	__u32 pad;
	struct flow_key key;
	struct flow flow;
};

/* Keyed by pid << 32 | start time in units of 2^20 ns, so that a pid used again is another process. */
struct process {
	__u64 start_ns; /* CLOCK_BOOTTIME */
	__u64 cgroup; /* id in the cgroup v2 hierarchy, its inode */
	char comm[16];
	char executable[64]; /* file name, without its folder */
};

/* One entry a program, for each CPU. */
enum program {
	PROGRAM_INGRESS,
	PROGRAM_EGRESS,
	PROGRAM_SOCKET,
	PROGRAM_CONNECT,
	PROGRAM_SENDMSG,
	PROGRAM_ESTABLISHED,
	PROGRAM_SOCKETS,
	PROGRAM_COUNT,
};

struct totals {
	__u64 events; /* times it ran */
	__u64 lost; /* ring events that found no room */
	__u64 flows; /* flows that it created */
	__u64 packets; /* that it added to flows */
	__u64 bytes;
	__u64 uncounted; /* IP packets for which no flow could be created */
	__u64 not_ip; /* ARP and all else below IP */
	__u64 malformed; /* claimed to be IP, headers cut or wrong */
	__u64 sequence; /* of flow ids; only that of the first program is used */
};
