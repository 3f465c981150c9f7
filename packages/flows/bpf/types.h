/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the kernel side and user space share. `npm run generate` reads these structs from the object's BTF
 * and writes their offsets to src/generated/layout.ts: nothing else tells user space where a field lies. */
#pragma once
#include <linux/types.h>

/* One connection in one network namespace, whoever sends: both directions share one flow. */
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
	FLOW_APPLICATION = 26, /* shift: enum application, 3 bits */
	FLOW_SERVER = 1 << 29, /* the side that answers in that application: set = side 1 */
	FLOW_HEARD = 1 << 30, /* TLS: the server's first bytes were read */
};

/* What a flow speaks, by its port or its first bytes; in the order of `applications` in src/flow.ts. */
enum application {
	APPLICATION_NONE,
	APPLICATION_DNS,
	APPLICATION_TLS,
	APPLICATION_QUIC,
	APPLICATION_HTTP,
	APPLICATION_POSTGRESQL,
	APPLICATION_MYSQL,
	APPLICATION_REDIS,
};

#define LAST_SHIFT 17 /* unit of a flow's `last`: 0.13 ms */

#define INDEX_BITS 23

/*
 * An element of `flows`, laid out for the cache: a look-up compares keys in the first line of 64 bytes, and a packet
 * of a known flow touches only this one and the counters' beside it.
 */
struct flow {
	struct flow_key key;
	__u32 last; /* CLOCK_MONOTONIC >> LAST_SHIFT; wraps after 6.5 days, an idle flow ends long before */
	__u32 flags; /* enum flow_flag */
	/* The element's index in the low INDEX_BITS, above them a count of its flows; 0 while there is none. */
	__u64 id;
	__u32 generation; /* of the policy whose verdict it has, as `generation_tag` in policy.h; 0: never judged */
	__u32 verdict; /* enum decision << 30, and what policy.h says */
	__u64 packets[2]; /* sent by side 0, side 1; on the wire: a segmentation-offload buffer is many */
	__u64 bytes[2]; /* layer 3, on the wire */
	__u64 first_ns; /* CLOCK_MONOTONIC */
	__u64 process[2]; /* key of `processes`, 0 if not local or unknown */
	__u32 ifindex; /* where the first packet was counted */
	__u16 icmp; /* type << 8 | code of the first packet */
	/* How often the owner of a side's socket was looked for in vain. Once it is known, or given up: the second in
	 * which it was last told how the connection fares, with the highest bit. */
	__u8 attempts[2];
};

/* What few packets of a flow touch: the element of `details` with the same index. */
struct flow_detail {
	__u64 cookie[2]; /* socket cookie of the local socket, 0 if none or unknown */
	__u32 place; /* of the word that points to the flow: bucket << 6 | word << 2 | buckets from its home */
	__u32 flows; /* that this element has held */
	__u32 seen; /* `figures_of` what user space knows of the flow */
	__u32 pad;
};

#define BUCKET_WORDS 15
#define BUCKETS_PROBED 4

/*
 * A line of the hash table. A word is 0 or holds some bits of a key's hash and, below them, the element's index + 1;
 * all ones below them: taken, and about to point somewhere. A flow that finds its own bucket full goes to one of the
 * next, and `passed` counts those that did.
 */
struct bucket {
	__u32 words[BUCKET_WORDS];
	__u32 passed; /* BUCKET_LOCKED above it: somebody inserts here */
};

/* The hash table as a whole; each part that somebody else writes has its own lines. */
struct flow_table {
	__u64 secret[11]; /* of the hash */
	__u32 buckets; /* at which a flow may be at home; BUCKETS_PROBED - 1 more follow */
	__u32 capacity; /* elements */
	__u32 tag_mask; /* bits of a bucket's word that are the hash's */
	__u32 spare_mask; /* of positions in `spares` */
	__u64 pad_shared[3];
	__u32 next; /* elements below it were used; may pass `capacity` */
	__u32 taken; /* of `spares`, ever */
	__u64 pad_kernel[15];
	__u32 given; /* of `spares`, ever: user space's */
	__u32 pad_user[31];
};

#define SPARES 16

/* Elements that are free again, in a ring: user space puts them in, the kernel side takes them out. */
struct spares {
	__u32 index[SPARES];
};

/* What a policy decided about a flow. */
enum decision {
	DECISION_NONE, /* none was asked */
	DECISION_ALLOW,
	DECISION_AUDIT, /* passes, and would not */
	DECISION_DENY,
};

#define VERDICT_DECISION 30 /* shift: enum decision */
#define VERDICT_WORKLOAD (1U << 29) /* decided by a workload's policy: the devices let it pass */
#define VERDICT_SIDE (1U << 28) /* that opened the connection */
#define VERDICT_PASSING 28 /* shift, where no decision was asked for: the sides whose packets are only forwarded */
#define PASSING_BOTH 3U
#define VERDICT_ID 0x0fffffff /* of the rule or default deny, 0 for none */

/* What is in force. User space fills the other choice, then turns `current`: no packet sees half of it. */
struct policy_choice {
	__u32 generation; /* 0: no policy */
	__u32 previous; /* holds again after the deadline */
	__u64 deadline_ns; /* CLOCK_BOOTTIME; 0: confirmed */
};

struct policy_state {
	__u32 current;
	__u32 loopback; /* by slot: generations that judge loopback too */
	struct policy_choice choices[2];
};

/* Of verdicts, not of packets; those of packets are in the flows. */
struct policy_counts {
	__u64 verdicts;
	__u64 unremembered; /* allowed connections without room in `connections` */
	__u64 related; /* ICMP errors that passed for their connection's sake */
	__u64 unready; /* judged while a generation had no table: denied */
	__u64 busy; /* places that verdicts under way on this CPU have taken, bit by bit: one may interrupt another */
};

/* An address of the world, and the selectors by name that it is admitted for. */
#define ADMITTED_PEERS 8
struct admitted {
	__u64 places[ADMITTED_PEERS]; /* peer << 32 | until, in seconds of CLOCK_BOOTTIME; 0 or past: free */
};

/* How long an address is admitted for a name, whatever its record says. Seconds. */
struct name_settings {
	__u32 shortest;
	__u32 longest;
};

/* Of what is read for names in force. */
struct name_counts {
	__u64 queries; /* for selected names, to resolvers */
	__u64 answers; /* to these */
	__u64 admitted; /* addresses, each time that one was */
	__u64 strangers; /* queries for selected names, to others than resolvers */
	__u64 unasked; /* answers for selected names that belong to no query */
	__u64 malformed;
	__u64 full; /* no room for an address, or for one more name of it */
	__u64 busy; /* places taken by readings under way on this CPU */
};

/* A connection that passes. */
struct connection_key {
	struct flow_key flow;
	__u32 endpoint; /* whose policy let it: 0 for the node's */
};

struct connection {
	__u32 generation;
	__u32 verdict;
	__u32 last; /* as a flow's, but of the latest verdict */
	__u32 pad;
	__u64 flow; /* id of the flow that it is of now */
};

enum event_type {
	EVENT_FLOW_NEW = 1,
	EVENT_FLOW_CLOSED = 2,
	EVENT_FLOW_REPLACED = 3, /* another one needs its tuple or its room: last figures that are not known yet */
	EVENT_PAYLOAD = 4,
	EVENT_EXCHANGE = 5,
	EVENT_TCP = 6,
	EVENT_DROP = 7,
	EVENT_FLOW_JUDGED = 8, /* its verdict is about to be another: figures under the one it has */
};

struct flow_event {
	__u32 type; /* enum event_type */
	__u32 pad;
	struct flow flow;
	__u64 cookie[2];
};

#define PAYLOAD_BYTES 1464
#define REQUEST_BYTES 128
#define RESPONSE_BYTES 64

/* The first bytes of what an application says, for user space to parse: DNS, and the hellos of TLS and QUIC. */
struct payload_event {
	__u32 type; /* enum event_type */
	__u32 application; /* enum application; QUIC is only supposed */
	__u64 id; /* of the flow */
	__u64 time_ns;
	__u32 side; /* that sent it */
	__u32 sequence; /* TCP: of the first byte here */
	__u32 length; /* bytes here */
	__u32 pad;
	__u8 bytes[PAYLOAD_BYTES];
};

/* A request and the answer to it: how both begin, and the time between their first packets. */
struct exchange_event {
	__u32 type;
	__u32 application;
	__u64 id;
	__u64 time_ns; /* of the request */
	__u64 latency_ns;
	__u32 request_length;
	__u32 response_length;
	__u8 request[REQUEST_BYTES];
	__u8 response[RESPONSE_BYTES];
};

/* How a TCP connection fares, by the socket of this host: when it is established, each second, and at its end. */
struct tcp_event {
	__u32 type;
	__u32 side; /* of the socket */
	__u64 id;
	__u32 connect_us; /* from SYN to established; 0 where the other side opened it */
	__u32 srtt_us;
	__u32 min_rtt_us;
	__u32 retransmits;
};

/* A packet that the kernel gave up. */
struct drop_event {
	__u32 type;
	__u32 reason; /* enum skb_drop_reason of the running kernel */
	struct flow_key key;
	__u64 id; /* of its flow, 0 if it has none */
	__u64 time_ns;
	__u32 ifindex;
	__u32 bytes; /* layer 3 */
	__u32 side; /* that sent it */
	__u32 tcp_flags;
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
	PROGRAM_CONNECTION,
	PROGRAM_SOCKETS,
	PROGRAM_USED,
	PROGRAM_DROPS,
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
	__u64 skipped; /* payloads, drops and changes of verdicts not told, to keep the ring for flows */
	__u64 told; /* in the present window of time; its number in the upper half */
};
