/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Our own hash table of flows, in arrays that user space maps: the kernel's costs a packet a bucket and an element
 * that are in no cache and user space a system call a thousand flows; here the buckets stay in the cache, and reading
 * is reading memory.
 *
 * An element of `flows` keeps its place; a word in `buckets` points to it. Who looks up takes no lock. Who inserts locks
 * the key's home bucket, so that a key gets one flow; a word itself is taken by compare-and-swap, since others may
 * insert from another home. User space removes: it takes the word away, waits until whoever found the flow before
 * must be done with it, then gives the element back through `spares`. Where elements run out, the longest
 * idle flow of the home bucket is told with its last figures, if they are news, and its element used again at
 * once: a packet that another CPU counts there at this very moment counts for the new flow.
 */
#pragma once
#include "maps.h"
#include "packet.h"

#define INDEX_MASK ((1U << INDEX_BITS) - 1)
#define NOWHERE 0xffffffffU
#define BUCKET_LOCKED (1U << 31)

static __always_inline struct flow_table *flow_table(void)
{
	__u32 only = 0;
	return bpf_map_lookup_elem(&table, &only);
}

/*
 * Pair-multiply-shift, strongly universal with a secret that only root can read: no stranger can choose tuples that
 * meet. M. Thorup, "High Speed Hashing for Integers and Strings", section 3.5.
 */
static __always_inline __u32 hash_of(const struct flow_key *key, const struct flow_table *table)
{
	const __u64 *words = (const __u64 *)key;
	__u64 sum = table->secret[10];
#pragma unroll
	for (int i = 0; i < 5; i++)
		sum += (table->secret[2 * i] + (words[i] & 0xffffffff)) * (table->secret[2 * i + 1] + (words[i] >> 32));
	return sum >> 32;
}

/* The hash's high bits say where, its low bits become the tag. */
static __always_inline __u32 home_of(__u32 hash, const struct flow_table *table)
{
	return (__u64)hash * table->buckets >> 32;
}

static __always_inline __u32 tag_of(__u32 hash, const struct flow_table *table)
{
	return hash * 0x9e3779b1U & table->tag_mask;
}

static __always_inline bool is_same(const struct flow_key *a, const struct flow_key *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;
	return x[4] == y[4] && x[1] == y[1] && x[3] == y[3] && x[0] == y[0] && x[2] == y[2];
}

/*
 * Functions that are not static are verified once, not for each way that leads to them: without that, what loads in
 * milliseconds takes a minute. They return numbers only.
 *
 * @return the index of the key's flow, NOWHERE if it has none.
 */
__weak __u32 index_of(const struct flow_key *key, const struct flow_table *table, __u32 hash)
{
	if (!key || !table)
		return NOWHERE;
	__u32 mask = table->tag_mask, tag = tag_of(hash, table), at = home_of(hash, table);
	for (int probe = 0; probe < BUCKETS_PROBED; probe++, at++) {
		struct bucket *bucket = bpf_map_lookup_elem(&buckets, &at);
		if (!bucket)
			return NOWHERE;
		for (int i = 0; i < BUCKET_WORDS; i++) {
			__u32 word = bucket->words[i];
			if ((word ^ tag) & mask)
				continue;
			/* Of a free or a taken word there is no such element. */
			__u32 index = (word & ~mask) - 1;
			struct flow *flow = bpf_map_lookup_elem(&flows, &index);
			if (!flow)
				continue;
			/* The counters' line comes together with the key's, not after it. */
			__u64 ahead = *(volatile __u64 *)&flow->packets[0];
			asm volatile("" ::"r"(ahead));
			if (is_same(&flow->key, key))
				return index;
		}
		if (!(bucket->passed & ~BUCKET_LOCKED))
			return NOWHERE;
	}
	return NOWHERE;
}

static __always_inline struct flow *look_up(const struct flow_key *key, const struct flow_table *table, __u32 hash)
{
	__u32 index = index_of(key, table, hash);
	return bpf_map_lookup_elem(&flows, &index);
}

static __always_inline struct flow *flow_of(const struct flow_key *key)
{
	struct flow_table *table = flow_table();
	return table ? look_up(key, table, hash_of(key, table)) : 0;
}

static __always_inline struct flow_detail *detail_of(const struct flow *flow)
{
	__u64 id = flow->id;
	__u32 index = id & INDEX_MASK;
	return id ? bpf_map_lookup_elem(&details, &index) : 0;
}
