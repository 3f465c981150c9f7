/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Addresses of names, as the answers of resolvers give them, before the program that asked sees them: what it then
 * connects to is judged by the names that it asked for. Only answers count that belong to a query which left this
 * host for a configured resolver: same connection, DNS id, question. As in Cilium all addresses of an answer are of
 * the name that was asked, whatever aliases lie between.
 *
 * Names are matched by a deterministic automaton that src/policy/names/automaton.ts makes of all selectors, one a
 * generation of policies: a step a byte, exact, at most 255. Messages: RFC 1035 4; over TCP one that lies in one
 * segment.
 */
#pragma once
#include "insight.h"
#include "policy.h"

/* What a step may see: letters 1 to 26, digits to 36, `-`, `_`, what separates labels; 0 is any other byte. */
#define NAME_HYPHEN 37
#define NAME_UNDERSCORE 38
#define NAME_SEPARATOR 39
#define NAME_BEGIN 1 /* the first state; 0 is where no selector is left */

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, struct in6_addr);
	__type(value, __u32);
} resolvers SEC(".maps");

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct name_settings);
} name_settings SEC(".maps");

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct name_counts);
} name_counts SEC(".maps");

/* Queries for selected names that wait for their answer. */
#define ASKED_SECONDS 15 /* no client waits longer for a server */

struct asked {
	struct flow_key flow;
	__u64 name; /* FNV-1a of its symbols; whom it is selected by is asked of the automaton, not of this */
	__u16 id;
	__u16 type;
	__u32 pad;
};

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct asked);
	__type(value, __u32); /* until, in seconds of CLOCK_BOOTTIME */
} asked SEC(".maps");

#define MESSAGE_BYTES 4096 /* what resolvers ask for with EDNS; what lies behind is not read */
#define MESSAGE_SLACK 32
#define MESSAGE_HEADER 12
#define NAME_BYTES 255 /* on the wire, RFC 1035 2.3.4 */
#define LABEL_BYTES 63
#define MESSAGE_STEPS (MESSAGE_BYTES / 2) /* a label or a pointer takes two bytes at least */
#define RECORD_HEADER 10
#define DNS_CLASS_IN 1
#define DNS_TYPE_A 1
#define DNS_TYPE_AAAA 28

/* A message while it is read: the stack has no room for it. */
struct reading {
	struct asked asked;
	struct in6_addr address;
	struct admitted fresh;
	__u32 peers[ADMITTED_PEERS];
	__u32 length;
	__u32 at;
	/* Of the question. */
	__u32 state;
	__u32 label; /* bytes left of it */
	__u32 whole;
	/* Of the answer. */
	__u32 records;
	__u32 now;
	__u32 until;
	struct name_settings settings;
	__u8 bytes[MESSAGE_BYTES + MESSAGE_SLACK];
};

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WORKSPACES);
	__type(key, __u32);
	__type(value, struct reading);
} readings SEC(".maps");

struct name_walk {
	struct reading *reading;
	void *automaton;
	struct name_counts *counts;
};

static __always_inline __u32 symbol_of(__u8 byte)
{
	__u8 letter = byte | 0x20;
	if (letter >= 'a' && letter <= 'z')
		return letter - 'a' + 1;
	if (byte >= '0' && byte <= '9')
		return byte - '0' + 27;
	if (byte == '-')
		return NAME_HYPHEN;
	return byte == '_' ? NAME_UNDERSCORE : 0;
}

/* One byte of the question's name. Nothing lies before it that it could point to. */
static long read_name_byte(__u32 index, struct name_walk *walk)
{
	struct reading *reading = walk->reading;
	if (reading->at >= reading->length)
		return 1;
	__u8 byte = reading->bytes[reading->at++ & (MESSAGE_BYTES - 1)];
	__u32 symbol = NAME_SEPARATOR;
	if (reading->label) {
		reading->label--;
		symbol = symbol_of(byte);
	} else {
		if (!byte || byte > LABEL_BYTES) {
			reading->whole = !byte;
			return 1;
		}
		reading->label = byte;
		if (!index)
			return 0;
	}
	reading->asked.name = (reading->asked.name ^ symbol) * 0x100000001b3;
	__u32 state = reading->state;
	if (!state)
		return 0;
	struct name_state *from = bpf_map_lookup_elem(walk->automaton, &state);
	/* The verifier has to see a bound that clang knows. */
	asm volatile("" : "+r"(symbol));
	reading->state = from && symbol && symbol < NAME_SYMBOLS ? from->next[symbol] : 0;
	return 0;
}

/*
 * Gives a peer one of an address' places; none where each is taken. Global, so that the verifier reads it once and
 * not for each peer.
 */
__noinline int take_place(struct admitted *known, __u32 peer, __u32 until, __u32 now)
{
	if (!known)
		return false;
	__u64 fresh = (__u64)peer << 32 | until;
	for (int i = 0; i < ADMITTED_PEERS; i++) {
		__u64 taken = known->places[i];
		if (taken >> 32 != peer)
			continue;
		if ((__u32)taken >= until || __sync_val_compare_and_swap(&known->places[i], taken, fresh) == taken)
			return true;
	}
	/* Another CPU may take one for the same peer, which does no harm. */
	for (int i = 0; i < ADMITTED_PEERS; i++) {
		__u64 taken = known->places[i];
		if ((__u32)taken <= now && __sync_val_compare_and_swap(&known->places[i], taken, fresh) == taken)
			return true;
	}
	return false;
}

/*
 * Admits an address for the peers in `reading`, beside those that it is admitted for already. Whether it is of the
 * world is asked when it is judged.
 */
static __noinline int admit(struct reading *reading, struct name_counts *counts)
{
	if (!reading || !counts)
		return 0;
	__u32 until = reading->until;
	struct admitted *known = bpf_map_lookup_elem(&admitted, &reading->address);
	if (!known) {
		for (int i = 0; i < ADMITTED_PEERS; i++)
			reading->fresh.places[i] = reading->peers[i] ? (__u64)reading->peers[i] << 32 | until : 0;
		if (!bpf_map_update_elem(&admitted, &reading->address, &reading->fresh, BPF_NOEXIST)) {
			counts->admitted++;
			return 0;
		}
		known = bpf_map_lookup_elem(&admitted, &reading->address);
		if (!known) {
			counts->full++;
			return 0;
		}
	}
	for (int i = 0; i < ADMITTED_PEERS; i++) {
		__u32 peer = reading->peers[i];
		if (!peer)
			break;
		if (!take_place(known, peer, until, reading->now))
			counts->full++;
	}
	counts->admitted++;
	return 0;
}

static __always_inline __u32 read_be16(const __u8 *at)
{
	return at[0] << 8 | at[1];
}

/* One label of a record's name, or its end and the record. */
static long read_record_step(__u32 index, struct name_walk *walk)
{
	struct reading *reading = walk->reading;
	__u32 at = reading->at, length = reading->length;
	if (!reading->records)
		return 1;
	if (at >= length)
		goto damaged;
	__u8 byte = reading->bytes[at & (MESSAGE_BYTES - 1)];
	if (byte && byte <= LABEL_BYTES) {
		reading->at = at + 1 + byte;
		return 0;
	}
	if (byte && byte < 0xc0)
		goto damaged;
	/* What it points to does not matter, so that no chain of pointers is ever followed. */
	at += byte ? 2 : 1;
	if (at + RECORD_HEADER > length)
		goto damaged;
	const __u8 *head = reading->bytes + (at & (MESSAGE_BYTES - 1));
	__u32 type = read_be16(head), class = read_be16(head + 2), bytes = read_be16(head + 8);
	__u32 ttl = read_be16(head + 4) << 16 | read_be16(head + 6);
	at += RECORD_HEADER;
	if (at + bytes > length)
		goto damaged;
	reading->at = at + bytes;
	reading->records--;
	if (class != DNS_CLASS_IN)
		return 0;
	const __u8 *data = reading->bytes + (at & (MESSAGE_BYTES - 1));
	struct in6_addr *address = &reading->address;
	if (type == DNS_TYPE_A && bytes == 4) {
		__builtin_memset(address, 0, 10);
		address->s6_addr[10] = address->s6_addr[11] = 0xff;
		__builtin_memcpy(address->s6_addr + 12, data, 4);
	} else if (type == DNS_TYPE_AAAA && bytes == 16) {
		__builtin_memcpy(address, data, 16);
	} else {
		return 0;
	}
	/* RFC 2181 8: with the highest bit it is zero. */
	if (ttl >> 31)
		ttl = 0;
	if (ttl < reading->settings.shortest)
		ttl = reading->settings.shortest;
	if (ttl > reading->settings.longest)
		ttl = reading->settings.longest;
	reading->until = reading->now + ttl + 1;
	admit(reading, walk->counts);
	return 0;
damaged:
	walk->counts->malformed++;
	return 1;
}

/* Reads the whole message, or as much as there is room for. @return false where there is none */
static __always_inline bool load_message(struct __sk_buff *skb, const struct packet *packet, struct reading *reading)
{
	__u32 at = packet->payload, length = packet->payload_bytes;
	if (packet->key.protocol == IPPROTO_TCP) {
		__u8 prefix[2];
		if (length < 2 || bpf_skb_load_bytes(skb, at, prefix, 2))
			return false;
		__u32 message = read_be16(prefix);
		if (message > length - 2)
			return false;
		length = message;
		at += 2;
	}
	if (length < MESSAGE_HEADER)
		return false;
	if (length > MESSAGE_BYTES)
		length = MESSAGE_BYTES;
	reading->length = length;
	return !bpf_skb_load_bytes(skb, at, reading->bytes, length);
}

#define DNS_RESPONSE 0x80
#define DNS_OPCODE 0x78
#define DNS_RCODE 0x0f

static __noinline int learn_in(struct __sk_buff *skb, const struct packet *packet, struct reading *reading,
			       struct name_walk *walk, bool asks)
{
	if (!packet || !reading || !walk || !walk->counts || !load_message(skb, packet, reading))
		return 0;
	struct name_counts *counts = walk->counts;
	const __u8 *head = reading->bytes;
	if (((head[2] & DNS_RESPONSE) != 0) == asks || head[2] & DNS_OPCODE)
		return 0;
	reading->at = MESSAGE_HEADER;
	reading->state = NAME_BEGIN;
	reading->label = reading->whole = 0;
	struct asked *asked_key = &reading->asked;
	__builtin_memset(asked_key, 0, sizeof(*asked_key));
	asked_key->name = 0xcbf29ce484222325;
	if (read_be16(head + 4) == 1)
		bpf_loop(NAME_BYTES, read_name_byte, walk, 0);
	__u32 at = reading->at;
	if (!reading->whole || at + 4 > reading->length) {
		if (!asks)
			counts->malformed++;
		return 0;
	}
	const __u8 *tail = reading->bytes + (at & (MESSAGE_BYTES - 1));
	__u32 state = reading->state;
	if (!state || read_be16(tail + 2) != DNS_CLASS_IN)
		return 0;
	struct name_state *found = bpf_map_lookup_elem(walk->automaton, &state);
	if (!found || !found->peers[0])
		return 0;
	__builtin_memcpy(&asked_key->flow, &packet->key, sizeof(asked_key->flow));
	asked_key->id = read_be16(head);
	asked_key->type = read_be16(tail);
	reading->now = boot_seconds();
	if (asks) {
		__u8 server = !(packet->side & 1);
		__builtin_memcpy(&reading->address, packet->key.address[server & 1], 16);
		if (!bpf_map_lookup_elem(&resolvers, &reading->address)) {
			counts->strangers++;
			return 0;
		}
		__u32 until = reading->now + ASKED_SECONDS;
		bpf_map_update_elem(&asked, asked_key, &until, BPF_ANY);
		counts->queries++;
		return 0;
	}
	__u32 *until = bpf_map_lookup_elem(&asked, asked_key), none = 0;
	struct name_settings *settings = bpf_map_lookup_elem(&name_settings, &none);
	if (!until || *until <= reading->now || !settings) {
		counts->unasked++;
		return 0;
	}
	bpf_map_delete_elem(&asked, asked_key);
	counts->answers++;
	if (head[3] & DNS_RCODE)
		return 0;
	reading->settings = *settings;
	__builtin_memcpy(reading->peers, found->peers, sizeof(reading->peers));
	reading->records = read_be16(head + 6);
	reading->at = at + 4;
	bpf_loop(MESSAGE_STEPS, read_record_step, walk, 0);
	return 0;
}

/*
 * Reads a DNS packet that reaches or leaves this host while names are in force. Global, so that the verifier reads it
 * once and not for each way there.
 */
__noinline int learn(struct __sk_buff *skb, const struct packet *packet, const struct flow *flow, __u32 how)
{
	if (!packet || !flow)
		return 0;
	__u32 none = 0;
	struct policy_state *state = bpf_map_lookup_elem(&policy, &none);
	if (!state || packet->key.netns)
		return 0;
	struct name_walk walk = { .automaton = automaton_of(generation_in_force(state)) };
	if (!walk.automaton)
		return 0;
	bool leaving = how & JUDGE_LEAVING, loopback = leaving && flow->flags & FLOW_LOOPBACK;
	bool asks = packet->side != ((flow->flags & FLOW_SERVER) != 0);
	if (asks ? !leaving || (skb->ingress_ifindex && !loopback) : leaving && !loopback)
		return 0;
	if (flow->flags & FLOW_FORWARDED)
		return 0;
	struct name_counts *counts = walk.counts = bpf_map_lookup_elem(&name_counts, &none);
	if (!counts)
		return 0;
	__u32 slot = take_slot(&counts->busy);
	struct reading *reading = walk.reading = bpf_map_lookup_elem(&readings, &slot);
	if (reading)
		learn_in(skb, packet, reading, &walk, asks);
	give_slot(&counts->busy, slot);
	return 0;
}

/* Kept small: it runs for each packet. */
static __always_inline bool is_naming(const struct packet *packet, const struct flow *flow)
{
	return (flow->flags >> FLOW_APPLICATION & 7) == APPLICATION_DNS && packet->payload_bytes;
}

/*
 * Admits what user space says, in the same way: it hands a frame whose bytes are this. What was learned before a
 * restart, and what connections still hold.
 */
struct admission {
	__u8 pad[16]; /* where a frame has its own header */
	struct in6_addr address;
	__u32 peers[ADMITTED_PEERS];
	__u32 until; /* seconds of CLOCK_BOOTTIME */
	__u32 pad2;
};

SEC("tc")
int x0_admit(struct __sk_buff *skb)
{
	__u32 none = 0;
	struct name_counts *counts = bpf_map_lookup_elem(&name_counts, &none);
	if (!counts)
		return -1;
	__u32 slot = take_slot(&counts->busy);
	struct reading *reading = bpf_map_lookup_elem(&readings, &slot);
	if (reading && !bpf_skb_load_bytes(skb, offsetof(struct admission, address), &reading->address, 16) &&
	    !bpf_skb_load_bytes(skb, offsetof(struct admission, peers), reading->peers, sizeof(reading->peers)) &&
	    !bpf_skb_load_bytes(skb, offsetof(struct admission, until), &reading->until, sizeof(reading->until))) {
		reading->now = boot_seconds();
		admit(reading, counts);
	}
	give_slot(&counts->busy, slot);
	return 0;
}
